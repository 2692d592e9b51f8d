"""What VAMS is told, and what it takes."""

from __future__ import annotations

import mimetypes
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gaitway.contracts.artifacts import Results, TrainingSummary
from gaitway.contracts.simulation import EvaluationSummary
from gaitway.contracts.vams import REFUSED_SUFFIXES, MetadataDocument, metadata_of, registrations
from gaitway.names import DEFAULT_NAMES
from gaitway.outputs.files import accepted_name

REFUSED_TYPES = {
    "application/java-archive",
    "application/javascript",
    "application/vbscript",
    "application/vnd.ms-word.document.macroEnabled.12",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/x-msdownload",
    "application/x-msdos-program",
    "application/x-sh",
    "application/x-sql",
}
"""Those of VAMS's list that Python gives to a name: github.com/awslabs/visual-asset-management-system,
backend/backend/common/constants.py."""


def results(**more: Any) -> Results:
    return Results(
        run_id="run-1",
        status="succeeded",
        mode="train",
        task="Isaac-Ant-v0",
        rl_library="skrl",
        attempts=1,
        ended_at=datetime(2026, 11, 21, tzinfo=UTC),
        **more,
    )


def noted(of: Results) -> tuple[str, dict[str, tuple[str, str]]]:
    file, document = metadata_of(of)
    written = document.model_dump(mode="json", by_alias=True)
    assert (written["type"], written["updateType"]) == ("metadata", "update")
    return file, {
        item["metadataKey"]: (item["metadataValue"], item["metadataValueType"]) for item in written["metadata"]
    }


def test_of_a_training_its_newest_checkpoint_is_described() -> None:
    summary = TrainingSummary(
        iterations=1500,
        final_checkpoint="checkpoints/agent_1500.pt",
        mean_reward=4.5,
        mean_steps_per_second=1e5,
        training_seconds=60.0,
    )
    assert noted(results(training=summary)) == (
        "checkpoints/agent_1500.pt",
        {
            "task": ("Isaac-Ant-v0", "string"),
            "rlLibrary": ("skrl", "string"),
            "iterations": ("1500", "number"),
            "meanReturn": ("4.5", "number"),
            "runId": ("run-1", "string"),
        },
    )


def test_of_an_evaluation_its_results_are_described() -> None:
    summary = EvaluationSummary(
        episodes=50,
        mean_return=290.5,
        std_return=1.0,
        min_return=280.0,
        max_return=299.0,
        mean_length=299.0,
        success_rate=0.98,
        success_definition="upright to the end",
    )
    file, figures = noted(results(evaluation=summary))
    assert file == "results.json"
    assert figures["successRate"] == ("0.98", "number")
    assert figures["meanReturn"] == ("290.5", "number")


def test_what_no_library_has_logged_is_left_out() -> None:
    summary = TrainingSummary(
        iterations=1,
        final_checkpoint="checkpoints/model_0.pt",
        mean_reward=None,
        mean_steps_per_second=None,
        training_seconds=1.0,
    )
    assert "meanReturn" not in noted(results(training=summary))[1]


@pytest.mark.parametrize(
    "name",
    [
        *("model_1499.pt", "ep_75.pth", "policy.onnx", "policy.json", "metrics.csv", "report.html", "rl-video.mp4"),
        *("agent.yaml", "isaaclab_git_diff.txt", "simulator.log", "events.out.tfevents.1763700000.ip-10-0-0-1.17.0"),
    ],
)
def test_vams_takes_every_file_that_a_run_leaves(name: str) -> None:
    assert accepted_name(name, REFUSED_SUFFIXES) == name
    assert mimetypes.guess_type(name)[0] not in REFUSED_TYPES


@pytest.mark.parametrize(
    "name", ["tool.exe", "Tool.EXE", "policy.bak", "lib.dll", "run.bat", "run.sh", "a.jar", "page.js", "notes.docx"]
)
def test_a_file_that_vams_refuses_gets_another_name(name: str) -> None:
    assert accepted_name(name, REFUSED_SUFFIXES) == f"{name}.bin"
    assert mimetypes.guess_type(accepted_name(name, REFUSED_SUFFIXES))[0] not in REFUSED_TYPES


def test_no_name_that_is_uploaded_as_it_is_has_a_type_that_vams_refuses() -> None:
    suffixes = {suffix for suffix, type_ in mimetypes.types_map.items() if type_ in REFUSED_TYPES}
    assert {
        suffix for suffix in suffixes if accepted_name(f"file{suffix}", REFUSED_SUFFIXES) == f"file{suffix}"
    } == set()


def test_vams_takes_the_descriptions_of_our_pipelines() -> None:
    # What validate_pipeline_parameters and validate_workflow_parameters ask for, and createPipeline's length of an id:
    # github.com/awslabs/visual-asset-management-system, backend/backend/handlers/workflows.
    for registration in registrations("vams-gaitway-launch", DEFAULT_NAMES):
        assert all(registration.model_dump().values())
        assert 4 <= len(registration.pipeline_id) <= 63
        assert 4 <= len(registration.pipeline_description) <= 256
        assert registration.asset_type.startswith(".")
        assert registration.output_type.startswith(".")
        assert int(registration.task_heartbeat_timeout) < int(registration.task_timeout)


def test_the_page_shows_what_is_registered_and_what_is_noted() -> None:
    page = (Path(__file__).parents[3] / "docs" / "vams.md").read_text(encoding="utf-8")
    for registration in registrations("vams-gaitway-launch", DEFAULT_NAMES):
        values = registration.task_timeout, registration.task_heartbeat_timeout
        row = (
            f"| `{registration.pipeline_id}` | `{registration.asset_type}` | `{registration.output_type}` | "
            f"{values[0]} s, {values[1]} s | `{registration.input_parameters}` |"
        )
        assert row in page
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    summary = TrainingSummary(
        iterations=1500, final_checkpoint="c", mean_reward=4.93, mean_steps_per_second=None, training_seconds=1.0
    )
    shown = MetadataDocument.model_validate_json(example)
    assert [item.metadata_key for item in shown.metadata] == [*noted(results(training=summary))[1]]
