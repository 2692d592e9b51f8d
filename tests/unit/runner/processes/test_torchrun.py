"""Several processes are started together, and end as one."""

import json
from pathlib import Path

import pytest

from gaitway.contracts.simulation import EXIT_BAD_REQUEST, SimulationJob
from gaitway.contracts.workload import TrainingConfig
from gaitway.runner.processes.simulate import Ending, SimulatorExit, Watch, simulate
from gaitway.runner.processes.torchrun import ProcessGroup, free_port, torchrun, unwrap
from tests.unit.runner.scripted_simulator import COMMAND, LOG_DIRECTORY

WATCH = Watch(check=lambda: None, makes_progress=lambda: True, is_done=lambda: False)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    job = SimulationJob(training=TrainingConfig(max_iterations=4))
    (tmp_path / "simulation.json").write_text(job.model_dump_json(by_alias=True))
    return tmp_path


def run_two(script: str, directory: Path) -> SimulatorExit:
    group = ProcessGroup(1, 0, 2, "127.0.0.1", free_port())
    command = torchrun(group, (*COMMAND, script, "simulation.json"))
    return unwrap(simulate(command, directory, WATCH, lambda line: None))


def test_every_process_knows_its_rank(directory: Path) -> None:
    end = run_two("succeed", directory)

    assert end.code == 0
    assert "rank 1 of 2 on node 0" in end.lines
    assert (directory / LOG_DIRECTORY / "model_3.pt").is_file()
    assert json.loads((directory / "simulation.json").read_text())["continue_from"] is None


def test_a_process_that_fails_ends_the_others_and_its_words_are_the_last(directory: Path) -> None:
    end = run_two("fail_in_rank_1", directory)

    assert (end.code, end.ending) == (1, Ending.EXITED)
    assert "RuntimeError: rank 1 has lost its way" in end.lines
    assert not any("torch.distributed" in line or "ChildFailedError" in line for line in end.lines)


def test_a_refusal_is_told_from_any_other_failure(directory: Path) -> None:
    end = run_two("refuse", directory)

    assert end.code == EXIT_BAD_REQUEST
    assert end.lines[-1] == "trainingConfig.task is 'Isaac-Cartpole-v0', which is not registered"


def test_the_end_of_torchrun_itself_is_left_as_it_is() -> None:
    end = SimulatorExit(-15, Ending.STALLED, ("Learning iteration 1/4",))

    assert unwrap(end) == end
