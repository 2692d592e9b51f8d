"""`gaitway demo`, in the simulator that is there."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from gaitway.cli.demo import EXAMPLES, SOLVED_SUCCESS_RATE, Examples, choose_examples, run_demo
from gaitway.contracts.artifacts import RESULTS, Results
from gaitway.contracts.request import parse_request
from gaitway.contracts.workload import EvaluationConfig, TrainingConfig
from gaitway.libraries.tasks import is_of_isaaclab3
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
    assert not any(is_of_isaaclab3(task) for task in tasks(examples))
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
    assert is_of_isaaclab3(training)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""


@pytest.mark.usefixtures("undisturbed")
@only_with_isaac_lab_3
def test_the_embedded_aws_has_isaac_lab_3_where_it_is_installed_and_the_developer_does_not_leave_it_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert launcher.default_settings() == {"simulators": "isaaclab-3,embedded"}
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


def tasks(examples: Examples) -> tuple[str, str]:
    training = parse_request((EXAMPLES / examples.training).read_text(encoding="utf-8")).training_config
    evaluation = parse_request((EXAMPLES / examples.evaluation).read_text(encoding="utf-8")).training_config
    assert isinstance(training, TrainingConfig)
    assert isinstance(evaluation, EvaluationConfig)
    return training.task, evaluation.task
