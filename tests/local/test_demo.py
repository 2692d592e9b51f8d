"""`gaitway demo`, in the simulator that is there."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from gaitway.cli.demo import (
    ANT,
    EXAMPLES,
    SOLVED_SUCCESS_RATE,
    WALKED_METRES,
    Examples,
    choose_ant,
    choose_examples,
    conclude_ant,
    run_demo,
)
from gaitway.contracts.artifacts import METRICS, RESULTS, Results
from gaitway.contracts.errors import ArtifactError
from gaitway.contracts.request import parse_request
from gaitway.contracts.simulation import EvaluationSummary
from gaitway.contracts.workload import EvaluationConfig, TrainingConfig
from gaitway.installation import NotInstalledError
from gaitway.libraries.tasks import known_tasks
from gaitway.local import isaaclab3, launcher
from tests.unit.simulators.isaaclab3.real import only_with_isaac_lab_3

MISSING = "Isaac Lab 3 is installed on Linux x86-64 with Python 3.11 or 3.12; this machine is Darwin arm64"


@pytest.fixture
def without_isaac_lab_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isaaclab3, "why_missing", lambda: MISSING)


@pytest.fixture
def undisturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What tests set for the command line's embedded AWS is not set."""
    monkeypatch.delenv(launcher.SIMULATORS_VARIABLE)


@pytest.mark.usefixtures("without_isaac_lab_3", "undisturbed")
def test_without_isaac_lab_3_the_demo_says_why_and_takes_the_cartpole_in_torch() -> None:
    console = Console(file=io.StringIO(), width=80)
    examples = choose_examples(console)
    assert {known_tasks().means(task) for task in tasks(examples)} == {"isaaclab-2"}
    assert isinstance(console.file, io.StringIO)
    line, rest = console.file.getvalue().split("\n")
    assert MISSING in line
    assert rest == ""
    assert launcher.default_settings() == {}


@only_with_isaac_lab_3
def test_with_isaac_lab_3_the_demo_says_nothing_and_takes_one_of_its_tasks() -> None:
    console = Console(file=io.StringIO())
    training, evaluation = tasks(choose_examples(console))
    assert training == evaluation
    assert known_tasks().means(training) == "isaaclab-3"
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""


@pytest.mark.usefixtures("without_isaac_lab_3")
def test_without_isaac_lab_3_no_ant_walks_and_the_error_says_why() -> None:
    with pytest.raises(NotInstalledError, match=MISSING):
        choose_ant()


def test_the_ant_is_evaluated_in_the_task_that_it_was_trained_in() -> None:
    training, evaluation = tasks(ANT)
    assert training == evaluation
    assert known_tasks().means(training) == "isaaclab-3"


SUMMARY = EvaluationSummary(
    episodes=32,
    mean_return=12.5,
    std_return=1.0,
    min_return=9.0,
    max_return=14.0,
    mean_length=900.0,
    success_rate=0.75,
    success_definition="The episode lasts.",
)


def metrics_of(directory: Path, column: str, values: list[float | None]) -> Path:
    """Write a training's table, as the runner does: where no episode has ended there is nothing."""
    rows = [f"{step},{'' if value is None else value}" for step, value in enumerate(values)]
    (directory / METRICS).write_text("\n".join([f"step,{column}", *rows, ""]), encoding="utf-8")
    return directory


def test_what_the_ant_has_reached_is_said_in_metres(tmp_path: Path) -> None:
    # A fortieth of a metre per second in the beginning, half a metre at the end; an episode lasts 16 s.
    training = metrics_of(tmp_path, "Episode_Reward/progress", [None, *[0.025] * 10, 0.3, *[0.5] * 10])
    walks, words = conclude_ant(SUMMARY, training)
    assert walks
    for part in ("8.0 m", "at its beginning 0.4 m", "75% of 32 episodes", "12.5"):
        assert part in words


def test_an_ant_that_only_stands_does_not_walk(tmp_path: Path) -> None:
    slow = (WALKED_METRES - 0.5) / 16
    walks, words = conclude_ant(SUMMARY, metrics_of(tmp_path, "Episode_Reward/progress", [slow] * 20))
    assert not walks
    assert "does not walk" in words


def test_metrics_that_say_nothing_of_the_way_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="Episode_Reward/progress"):
        conclude_ant(SUMMARY, metrics_of(tmp_path, "Train/mean_reward", [1.0]))


@pytest.mark.usefixtures("undisturbed")
@only_with_isaac_lab_3
def test_the_embedded_aws_has_isaac_lab_3_where_it_is_installed_and_the_developer_does_not_leave_it_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert launcher.default_settings() == {
        "simulators": "isaaclab-3,embedded",
        "containerImageUri": '{"isaaclab-3": "gaitway/isaaclab-3:local", "embedded": "gaitway/embedded:local"}',
    }
    monkeypatch.setenv(launcher.SIMULATORS_VARIABLE, "embedded")
    assert launcher.default_settings() == {}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("undisturbed")
@only_with_isaac_lab_3
def test_the_demo_solves_its_task_in_real_isaac_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(launcher.STATE_VARIABLE, str(tmp_path / "state"))
    outputs = tmp_path / "outputs"
    try:
        assert run_demo(Console(file=io.StringIO()), outputs)
    finally:
        launcher.down()
    assert "isaaclab" in (outputs / "train" / "simulator.log").read_text(encoding="utf-8")
    assert list((outputs / "evaluate" / "videos").glob("*.mp4"))
    evaluation = Results.read((outputs / "evaluate" / RESULTS).read_bytes()).evaluation
    assert evaluation is not None
    assert evaluation.success_rate >= SOLVED_SUCCESS_RATE


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("undisturbed")
@only_with_isaac_lab_3
def test_the_demo_of_the_ant_says_of_one_that_has_hardly_begun_that_it_does_not_walk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The whole way, with figures for which nobody has to wait."""
    few = {"numEnvs": 16, "maxIterations": 2, "numEpisodes": 4, "stepsPerEpisode": 20}
    for example in (ANT.training, ANT.evaluation):
        request = json.loads((EXAMPLES / example).read_text(encoding="utf-8"))
        config = request["trainingConfig"]
        config |= {name: figure for name, figure in few.items() if name in config}
        (tmp_path / example).write_text(json.dumps(request), encoding="utf-8")
    # The package has a command of the module's name.
    monkeypatch.setattr(sys.modules[run_demo.__module__], "EXAMPLES", tmp_path)
    monkeypatch.setenv(launcher.STATE_VARIABLE, str(tmp_path / "state"))
    outputs = tmp_path / "outputs"
    console = Console(file=io.StringIO(), width=200)
    try:
        assert not run_demo(console, outputs, ant=True)
    finally:
        launcher.down()
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "The ant does not walk: " in said
    assert "gaitway submit --continue run-" in said
    assert list((outputs / "evaluate" / "videos").glob("*.mp4"))
    # One in which nothing moves would be a warning.
    assert Results.read((outputs / "evaluate" / RESULTS).read_bytes()).warnings == []
    training = Results.read((outputs / "train" / RESULTS).read_bytes()).training
    assert training is not None
    # Or else it says why, where the machine is too busy for it.
    assert training.no_leapp or (outputs / "train" / "exported" / "leapp" / "policy.yaml").is_file()


def tasks(examples: Examples) -> tuple[str, str]:
    training = parse_request((EXAMPLES / examples.training).read_text(encoding="utf-8")).training_config
    evaluation = parse_request((EXAMPLES / examples.evaluation).read_text(encoding="utf-8")).training_config
    assert isinstance(training, TrainingConfig)
    assert isinstance(evaluation, EvaluationConfig)
    return training.task, evaluation.task
