"""What we tell VAMS, the Visual Asset Management System: which pipelines there are, and what came of a run.

Nothing here is VAMS's own code. What it takes is read from its published source, of 2.4 to 2.6:
github.com/awslabs/visual-asset-management-system, below backend/backend: `handlers/workflows`, `models/metadata.py`,
`common/constants.py`, `common/workflows/vamsSchemaImport.py`.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field

from gaitway.contracts.artifacts import RESULTS, Results
from gaitway.contracts.model import UserModel
from gaitway.contracts.request import Mode, TrainingConfig
from gaitway.contracts.run import TIMEOUT_SECONDS

_TASK = "Isaac-Cartpole-Direct-v0"
"""The smallest of Isaac Lab's tasks: what is registered runs as it is, and shows what to replace."""
_SEED_FIELDS: dict[Mode, tuple[str, ...]] = {
    "train": ("mode", "task", "numEnvs", "maxIterations", "rlLibrary"),
    "evaluate": ("mode", "task", "numEnvs", "numEpisodes", "stepsPerEpisode", "recordVideo", "rlLibrary"),
}
"""What a user of VAMS most likely changes; everything else has its default all the same."""

_REFUSED_BY_NAME = {
    *(".bak", ".bat", ".cmd", ".com", ".dll", ".docm", ".exe", ".jar"),
    *(".java", ".lnk", ".nat", ".php", ".pif", ".reg", ".vbs"),
}
_REFUSED_BY_TYPE = {".class", ".docx", ".js", ".mjs", ".sh", ".sql"}
"""Not these themselves, but the content types with which they are uploaded."""
REFUSED_SUFFIXES = frozenset(_REFUSED_BY_NAME | _REFUSED_BY_TYPE)
"""VAMS takes none of a run's files where one of them ends like this: `common/constants.py`."""
_HARMLESS_SUFFIX = ".bin"
METADATA_SUFFIX = ".metadata.json"
"""Below the metadata path, after the name that a file has below the files path: a document of what to note of it."""

STEP_INPUTS = "pipelines/workflowExecutionInputs/"
"""Below it VAMS 2.6 keeps manifest and parameters of each step."""


def accepted_name(name: str) -> str:
    """Give a file a name that VAMS takes: its own, unless that ends as a program's."""
    # VAMS compares as written; who stores the file afterwards may not.
    refused = PurePosixPath(name).suffix.lower() in REFUSED_SUFFIXES
    return f"{name}{_HARMLESS_SUFFIX}" if refused else name


class Registration(UserModel):
    """A pipeline and the workflow of the same name that has it as its only step.

    The fields of VAMS's function `importGlobalPipelineWorkflow`, of all versions; all of them are texts, numbers too.
    """

    pipeline_id: str
    pipeline_description: str
    pipeline_type: Literal["standardFile"] = "standardFile"
    pipeline_execution_type: Literal["Lambda"] = "Lambda"
    asset_type: str
    """Suffix of the files that it takes, or `.all`."""
    output_type: str
    wait_for_callback: Literal["Enabled"] = "Enabled"
    task_timeout: str
    """Seconds."""
    task_heartbeat_timeout: str
    """Seconds."""
    lambda_name: str
    input_parameters: str
    """The request that a run begins with: a JSON object."""
    workflow_id: str
    workflow_description: str
    inline_bundle: str
    """The same for VAMS 2.6, as a JSON object: its function takes this and leaves the other fields; those before it
    do the opposite."""


def registrations(launch_function_name: str) -> tuple[Registration, Registration]:
    """Describe our pipelines: one that trains, and one that evaluates.

    Args:
        launch_function_name: Name of the function that VAMS calls.
    """
    return (
        _registration("train", "isaaclab-training", "Train a robot policy", ".all", ".pt", 3600, launch_function_name),
        _registration(
            "evaluate", "isaaclab-evaluation", "Evaluate a robot policy", ".pt", ".json", 1800, launch_function_name
        ),
    )


def _registration(
    mode: Mode, name: str, title: str, asset_type: str, output_type: str, heartbeat_seconds: int, function: str
) -> Registration:
    """Describe a pipeline, and a workflow of it alone."""
    description = f"{title} with NVIDIA Isaac Lab on GPU instances (Gaitway)"
    timeout, heartbeat = str(TIMEOUT_SECONDS[mode]), str(heartbeat_seconds)
    shown = {"category": "Simulation", "description": description}
    takes_all = asset_type == ".all"
    bundle = {
        "pipeline": {
            **shown,
            "pipelineId": name,
            "pipelineName": f"{title} (Isaac Lab)",
            "executionConfig": {
                "executionType": "Lambda",
                "waitForCallback": "Enabled",
                "taskTimeout": timeout,
                "taskHeartbeatTimeout": heartbeat,
                "lambda": {"resourceId": function},
            },
            "systemConfig": {
                "inputFileArity": "one",
                "assetScope": {"wholeAsset": takes_all},
                "allowCustomTemplateOverride": True,
                "inputFileFilters": {"allow": [] if takes_all else [f"*{asset_type}"], "exclude": []},
            },
        },
        "workflow": {**shown, "workflowId": name, "workflowName": f"{title} (Isaac Lab)"},
        "templates": [
            {
                "templateId": f"{name}-defaults",
                "templateName": "Defaults",
                "configFormat": "json",
                "configBody": seed_parameters(mode),
                "allowCustomEdit": True,
                "isDefault": True,
            }
        ],
    }
    return Registration(
        pipeline_id=name,
        pipeline_description=description,
        asset_type=asset_type,
        output_type=output_type,
        task_timeout=timeout,
        task_heartbeat_timeout=heartbeat,
        lambda_name=function,
        input_parameters=seed_parameters(mode),
        workflow_id=name,
        workflow_description=description,
        inline_bundle=json.dumps(bundle),
    )


def seed_parameters(mode: Mode) -> str:
    """Write the request that a pipeline is registered with: the defaults of a mode, as a JSON object."""
    defaults = TrainingConfig.model_validate({"mode": mode, "task": _TASK}).model_dump(mode="json", by_alias=True)
    return json.dumps({"trainingConfig": {field: defaults[field] for field in _SEED_FIELDS[mode]}})


class MetadataItem(UserModel):
    """A figure of a run, as VAMS keeps it beside a file."""

    metadata_key: str
    metadata_value: str
    metadata_value_type: Literal["string", "number"] = "string"


class MetadataDocument(UserModel):
    """`<file>.metadata.json` below the metadata path: what VAMS is to note of the file with that path."""

    type: Literal["metadata"] = "metadata"
    update_type: Literal["update"] = "update"
    metadata: list[MetadataItem] = Field(min_length=1)


def metadata_of(results: Results) -> tuple[str, MetadataDocument]:
    """Say what VAMS is to note of a run.

    Returns:
        The file that it is about, relative to the run's output prefix: what the run was made for, the newest checkpoint
        of a training and the results of an evaluation; and the document.
    """
    figures: dict[str, str | float | None] = {"task": results.task, "rlLibrary": results.rl_library}
    file = RESULTS
    if results.training is not None:
        file = results.training.final_checkpoint
        figures |= {"iterations": results.training.iterations, "meanReturn": results.training.mean_reward}
    if results.evaluation is not None:
        evaluation = results.evaluation
        figures |= {
            "episodes": evaluation.episodes,
            "meanReturn": evaluation.mean_return,
            "successRate": evaluation.success_rate,
        }
    items = [
        MetadataItem(
            metadata_key=key,
            metadata_value=str(value),
            metadata_value_type="string" if isinstance(value, str) else "number",
        )
        for key, value in (figures | {"runId": results.run_id}).items()
        if value is not None
    ]
    return file, MetadataDocument(metadata=items)
