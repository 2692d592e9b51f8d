"""The simulator is a process that is always ended, with everything that it started."""

import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from gaitway.contracts.artifacts import SIMULATOR_LOG
from gaitway.contracts.errors import InterruptedRunError
from gaitway.contracts.simulation import SimulationJob
from gaitway.contracts.workload import TrainingConfig
from gaitway.runner.processes import simulate as simulate_module
from gaitway.runner.processes.simulate import LAST_LINES, Ending, SimulatorExit, Watch, simulate
from gaitway.runner.stop import StopRequest
from tests.unit.runner.scripted_simulator import COMMAND


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    job = SimulationJob(training=TrainingConfig(max_iterations=4))
    (tmp_path / "simulation.json").write_text(job.model_dump_json(by_alias=True))
    return tmp_path


def command(script: str) -> tuple[str, ...]:
    return (*COMMAND, script, "simulation.json")


def watch(
    stop: StopRequest | None = None, *, is_done: bool = False, makes_progress: Callable[[], bool] = lambda: True
) -> Watch:
    return Watch((stop or StopRequest()).check, makes_progress, lambda: is_done, exit_allowance_seconds=0.2)


def run_script(script: str, directory: Path, *, is_done: bool = False) -> SimulatorExit:
    return simulate(command(script), directory, watch(is_done=is_done), lambda line: None)


def test_output_goes_to_stdout_to_the_log_and_to_the_observer(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []

    end = simulate(command("succeed"), directory, watch(), lines.append)

    assert end.code == 0
    text = "".join(lines)
    assert "Learning iteration 3/4" in text
    assert capsys.readouterr().out == text
    assert (directory / SIMULATOR_LOG).read_text() == text
    assert list(end.last_lines) == text.splitlines()[-LAST_LINES:]


def test_the_log_keeps_what_earlier_attempts_printed(directory: Path) -> None:
    (directory / SIMULATOR_LOG).write_text("first attempt\n")

    run_script("crash", directory)

    log = (directory / SIMULATOR_LOG).read_text()
    assert log.startswith("first attempt\n")
    assert "RuntimeError: CUDA error: out of memory" in log


def test_the_exit_code_and_the_traceback_are_kept(directory: Path) -> None:
    end = run_script("crash", directory)

    assert end.code == 1
    assert end.ending is Ending.EXITED
    assert end.last_lines[-1] == "RuntimeError: CUDA error: out of memory"


def test_an_observer_that_fails_does_not_stop_the_simulation(directory: Path) -> None:
    def fail(line: str) -> None:
        raise ValueError(line)

    end = simulate(command("succeed"), directory, watch(), fail)

    assert end.code == 0


def test_a_process_that_stays_after_its_work_is_ended(directory: Path) -> None:
    end = run_script("stay_after_the_work", directory, is_done=True)

    assert end.ending is Ending.DONE


def test_a_process_that_makes_no_progress_is_ended(directory: Path) -> None:
    lines: list[str] = []

    end = simulate(
        command("hang"),
        directory,
        watch(makes_progress=lambda: not any("Learning iteration 1/" in line for line in lines)),
        lines.append,
    )

    assert end.ending is Ending.STALLED
    assert "Mean reward: 0.50" in end.last_lines[-1]


def test_a_stop_ends_the_whole_group_even_if_it_ignores_sigterm(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulate_module, "SIMULATOR_STOP_SECONDS", 0.3)
    stop = StopRequest()

    def stop_at_second_iteration(line: str) -> None:
        if "Learning iteration 1/" in line:
            stop.request(InterruptedRunError("told to stop"))

    with pytest.raises(InterruptedRunError, match="told to stop"):
        simulate(command("hang_with_child_and_ignore_sigterm"), directory, watch(stop), stop_at_second_iteration)

    assert not _runs(int((directory / "child.pid").read_text()))
    assert "output" not in {thread.name for thread in threading.enumerate()}


def _runs(process_id: int) -> bool:
    try:
        return psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
