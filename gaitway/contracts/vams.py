"""What we send to VAMS, the Visual Asset Management System: our pipelines, and the results of a run.

This is not VAMS's own code. What it accepts is taken from its published source, versions 2.4 to 2.6:
github.com/awslabs/visual-asset-management-system, below backend/backend: `handlers/workflows`, `models/metadata.py`,
`common/constants.py`, `common/workflows/vamsSchemaImport.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gaitway.contracts.artifacts import RESULTS, Results
from gaitway.contracts.limits import CALLER_LIMITS
from gaitway.contracts.model import UserModel
from gaitway.contracts.workload import Mode, read_config

if TYPE_CHECKING:
    from gaitway.names import Names

VAMS = "vams"
"""The kind of caller."""

_TASK = "Isaac-Cartpole-Direct-v0"
"""The smallest of Isaac Lab's tasks: the registered request works as it is, and shows what to replace."""
_SEED_FIELDS: dict[Mode, tuple[str, ...]] = {
    "train": ("mode", "task", "numEnvs", "maxIterations", "rlLibrary"),
    "evaluate": ("mode", "task", "numEnvs", "numEpisodes", "stepsPerEpisode", "recordVideo", "rlLibrary"),
}
"""Fields that a user of VAMS most likely changes; all others have their defaults."""

_REFUSED_BY_NAME = {
    *(".bak", ".bat", ".cmd", ".com", ".dll", ".docm", ".exe", ".jar"),
    *(".java", ".lnk", ".nat", ".php", ".pif", ".reg", ".vbs"),
}
_REFUSED_BY_TYPE = {".class", ".docx", ".js", ".mjs", ".sh", ".sql"}
"""Not used by themselves, but the content types with which they are uploaded."""
REFUSED_SUFFIXES = frozenset(_REFUSED_BY_NAME | _REFUSED_BY_TYPE)
"""VAMS refuses all files of a run if one of them has such a suffix: `common/constants.py`."""
METADATA_SUFFIX = ".metadata.json"
"""Suffix of a metadata document: below the metadata path, it follows the name that its file has below the files
path."""

STEP_INPUTS = "pipelines/workflowExecutionInputs/"
"""Prefix below which VAMS 2.6 keeps the manifest and parameters of each step."""


class Registration(UserModel):
    """A pipeline and the workflow of the same name that has it as its only step.

    The fields of VAMS's function `importGlobalPipelineWorkflow`, of all versions. All values are strings, also numbers.
    """

    pipeline_id: str
    pipeline_description: str
    pipeline_type: Literal["standardFile"] = "standardFile"
    pipeline_execution_type: Literal["Lambda"] = "Lambda"
    asset_type: str
    """Suffix of the files that it accepts, or `.all`."""
    output_type: str
    wait_for_callback: Literal["Enabled"] = "Enabled"
    task_timeout: str
    """Seconds."""
    task_heartbeat_timeout: str
    """Seconds."""
    lambda_name: str
    input_parameters: str
    """The request that a run starts from: a JSON object."""
    workflow_id: str
    workflow_description: str
    inline_bundle: str
    """The same for VAMS 2.6, as a JSON object: its function reads this field and ignores the other fields. Earlier
    versions do the opposite."""


def registrations(launch_function_name: str, names: Names) -> tuple[Registration, Registration]:
    """Describe our pipelines: one that trains, and one that evaluates.

    Args:
        launch_function_name: Name of the function that VAMS calls.
        names: Names of the deployment, by which VAMS distinguishes the pipelines of several deployments.
    """
    return (
        _registration("train", "training", "Train a robot policy", ".all", ".pt", launch_function_name, names),
        _registration("evaluate", "evaluation", "Evaluate a robot policy", ".pt", ".json", launch_function_name, names),
    )


def _registration(
    mode: Mode,
    what: str,
    title: str,
    asset_type: str,
    output_type: str,
    function: str,
    names: Names,
) -> Registration:
    """Describe a pipeline, and a workflow that consists of it."""
    name = names.vams(f"isaaclab-{what}")
    deployment = "Gaitway" if names.is_default else f"Gaitway {names.deployment}"
    description = f"{title} with NVIDIA Isaac Lab on GPU instances ({deployment})"
    shown_name = f"{title} (Isaac Lab)" if names.is_default else f"{title} (Isaac Lab, {names.deployment})"
    timeout, heartbeat = map(str, CALLER_LIMITS[mode])
    shown = {"category": "Simulation", "description": description}
    takes_all = asset_type == ".all"
    bundle = {
        "pipeline": {
            **shown,
            "pipelineId": name,
            "pipelineName": shown_name,
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
        "workflow": {**shown, "workflowId": name, "workflowName": shown_name},
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
    """Return the request that a pipeline is registered with: the defaults of a mode, as a JSON object."""
    defaults = read_config({"mode": mode, "task": _TASK}).model_dump(mode="json", by_alias=True)
    return json.dumps({"trainingConfig": {field: defaults[field] for field in _SEED_FIELDS[mode]}})


class MetadataItem(UserModel):
    """A figure of a run, as VAMS keeps it with a file."""

    metadata_key: str
    metadata_value: str
    metadata_value_type: Literal["string", "number"] = "string"


class MetadataDocument(UserModel):
    """`<file>.metadata.json` below the metadata path: the metadata of the file with that path."""

    type: Literal["metadata"] = "metadata"
    update_type: Literal["update"] = "update"
    metadata: list[MetadataItem] = Field(min_length=1)


def metadata_of(results: Results) -> tuple[str, MetadataDocument]:
    """Return the metadata of a run for VAMS.

    Returns:
        The file that the metadata belongs to, relative to the run's output prefix (the newest checkpoint of a training,
        or the results of an evaluation); and the document.
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
