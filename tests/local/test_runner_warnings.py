"""What is optional never fails what is done: the run succeeds, and says what is missing wherever people look."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from gaitway.cli.show import run_table
from gaitway.contracts.artifacts import Results, RunConfig
from gaitway.contracts.model import S3Uri
from gaitway.runner.run import EXIT_DONE, EXIT_FAILED
from tests.local.emulator import Emulator
from tests.local.runner_world import EVALUATION, TRAINING, World
from tests.unit.runner.inputs.test_dependencies import project, wheel


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    world = World(emulator, tmp_path)
    world.create_bucket()
    yield world
    world.close()


@pytest.mark.parametrize(
    ("script", "warnings", "rows"),
    [
        ("damage_the_events", ["metrics.csv lacks a part of the training: of TensorBoard's events.out."], 3),
        ("leave_text_for_events", ["metrics.csv lacks a part of the training: of TensorBoard's events.out."], 0),
        ("log_numbers_that_are_not_finite", ["metrics.csv has values that were logged as NaN or infinite: "], 5),
        ("lose_a_video", ["there is no video rl-video-step-0.mp4: no codec"], 5),
        (
            "crash_after_the_last_iteration",
            ["the simulator failed after the last iteration or episode (exit code -11)"],
            5,
        ),
    ],
)
def test_a_finished_training_is_a_success_with_a_warning(
    world: World, script: str, warnings: list[str], rows: int
) -> None:
    world.submit()

    assert world.run_here(script) == EXIT_DONE

    objects = world.objects()
    results = Results.model_validate_json(objects["results.json"])
    assert results.status == "succeeded"
    assert [found.startswith(begin) for found, begin in zip(results.warnings, warnings, strict=True)] == [True]
    # What is right is there.
    assert {"checkpoints/model_4.pt", "params/agent.yaml", "metrics.csv", "report.html", "manifest.json"} <= set(
        objects
    )
    assert abs(len(objects["metrics.csv"].decode().splitlines()) - 1 - rows) <= (script == "damage_the_events")
    assert results.warnings[0].split(":")[0] in objects["report.html"].decode()
    assert world.record.warnings == results.warnings
    shown = StringIO()
    Console(file=shown, width=1000).print(run_table(world.record))
    assert results.warnings[0] in shown.getvalue()


def test_an_evaluation_without_the_video_that_was_asked_for_keeps_its_figures(world: World) -> None:
    world.submit(EVALUATION.model_copy(update={"record_video": True, "num_envs": 1}))

    assert world.run_here("lose_a_video") == EXIT_DONE

    results = Results.model_validate_json(world.objects()["results.json"])
    assert results.evaluation is not None
    assert results.warnings == ["there is no video rl-video-step-0.mp4: no codec"]


def test_what_was_not_finished_fails_as_before(world: World) -> None:
    world.submit()

    assert world.run_here("exit_early") == EXIT_FAILED


def test_a_successful_run_without_trouble_has_no_warnings(world: World) -> None:
    world.submit()
    assert world.run_here("export") == EXIT_DONE
    assert Results.model_validate_json(world.objects()["results.json"]).warnings == []
    assert world.record.warnings is None


def test_what_a_package_needs_is_installed_before_the_training_and_named_in_its_documents(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    wheel(index, "gaitway-absent", "2.5")
    files = {
        "robots/__init__.py": "import gaitway_absent",
        "robots/pyproject.toml": "[project]\nname = 'robots'\ndependencies = ['gaitway-absent', 'torch<1']\n",
    }
    package = S3Uri(world.bucket, "assets/robots.zip")
    world.s3.put_object(Bucket=package.bucket, Key=package.key, Body=project(tmp_path, files).read_bytes())
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    world.submit(TRAINING.model_copy(update={"install_dependencies": True}), package=package)

    assert world.run_here("succeed") == EXIT_DONE

    objects = world.objects()
    config = RunConfig.model_validate_json(objects["training-config.json"])
    assert config.versions["gaitway-absent"] == "2.5"
    assert (world.directory / "dependencies" / "gaitway_absent" / "__init__.py").is_file()
    (warning,) = Results.model_validate_json(objects["results.json"]).warnings
    assert warning.startswith("the custom environment: it requires torch<1, the image has ")
