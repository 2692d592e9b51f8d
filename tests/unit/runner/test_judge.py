"""A run is judged by what it left."""

from pathlib import Path

import pytest

from container.runner.judge import is_complete, judge_evaluation, judge_exit, judge_training
from container.runner.metrics import read_metrics
from container.runner.simulate import SimulatorExit
from gaitway.contracts.errors import RequestError, SimulationError
from gaitway.contracts.request import TrainingConfig
from gaitway.contracts.simulation import EXIT_BAD_REQUEST
from tests.unit.runner.scripted_simulator import LOG_DIRECTORY, evaluate, log_metrics, train, write_checkpoint

EXIT = SimulatorExit(code=0, by_runner=False, last_lines=("Simulation App Shutting Down",))
TRAINING = TrainingConfig(max_iterations=11)
EVALUATION = TrainingConfig(mode="evaluate", num_episodes=3)


@pytest.fixture(autouse=True)
def run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def judge(directory: Path) -> str:
    return judge_training(directory, TRAINING, read_metrics(directory, "rsl_rl"), EXIT)


def test_a_training_that_reached_its_last_iteration_is_accepted(run_directory: Path) -> None:
    train(11)
    log_metrics(11)

    assert judge(run_directory) == "model_10.pt"


def test_exit_code_0_does_not_make_a_short_training_complete(run_directory: Path) -> None:
    train(11, until=9)
    log_metrics(9)

    with pytest.raises(SimulationError, match=r"11 iterations: latest checkpoint is model_8\.pt.*\nSimulation App"):
        judge(run_directory)


def test_a_final_checkpoint_that_is_half_written_does_not_count(run_directory: Path) -> None:
    train(11)
    final = LOG_DIRECTORY / "model_10.pt"
    final.write_bytes(final.read_bytes()[:-5])

    with pytest.raises(SimulationError, match=r"latest checkpoint is model_8\.pt"):
        judge(run_directory)


def test_a_training_without_metrics_is_refused(run_directory: Path) -> None:
    train(11)

    with pytest.raises(SimulationError, match="no metrics"):
        judge(run_directory)


def test_a_process_that_failed_is_refused_with_the_end_of_its_output() -> None:
    end = SimulatorExit(code=1, by_runner=False, last_lines=("Traceback", "RuntimeError: CUDA error: out of memory"))

    with pytest.raises(SimulationError, match=r"exit code 1\.(?s:.)*CUDA error: out of memory"):
        judge_exit(end)


def test_a_process_that_a_signal_ended_is_refused_with_the_signals_name() -> None:
    with pytest.raises(SimulationError, match="SIGSEGV"):
        judge_exit(SimulatorExit(code=-11, by_runner=False, last_lines=()))


def test_a_process_that_was_ended_after_its_work_is_judged_by_its_work() -> None:
    judge_exit(SimulatorExit(code=-15, by_runner=True, last_lines=()))


def test_a_simulator_that_finds_the_request_wrong_is_believed() -> None:
    end = SimulatorExit(EXIT_BAD_REQUEST, by_runner=False, last_lines=("Loading", "no task is called Isaac-Nothing-v0"))

    with pytest.raises(RequestError, match=r"^no task is called Isaac-Nothing-v0$"):
        judge_exit(end)


def test_an_evaluation_of_all_episodes_is_accepted(run_directory: Path) -> None:
    evaluate(3)

    assert judge_evaluation(run_directory, EVALUATION, EXIT).episodes == 3


@pytest.mark.parametrize(("episodes", "rows"), [(2, 2), (3, 2), (4, 4)])
def test_an_evaluation_of_more_or_fewer_episodes_is_refused(run_directory: Path, episodes: int, rows: int) -> None:
    evaluate(episodes, rows=rows)

    with pytest.raises(SimulationError, match=rf"3 episodes .* tells of {episodes} and .* of {rows}"):
        judge_evaluation(run_directory, EVALUATION, EXIT)


def test_an_evaluation_without_summary_is_refused(run_directory: Path) -> None:
    with pytest.raises(SimulationError, match=r"summary\.json"):
        judge_evaluation(run_directory, EVALUATION, EXIT)


def test_an_evaluation_that_lacks_its_video_is_refused(run_directory: Path) -> None:
    evaluate(3)

    with pytest.raises(SimulationError, match="video"):
        judge_evaluation(run_directory, EVALUATION.model_copy(update={"record_video": True}), EXIT)


def test_work_is_done_when_the_final_checkpoint_is_there(run_directory: Path) -> None:
    write_checkpoint(9)
    assert not is_complete(run_directory, TRAINING)

    write_checkpoint(10)

    assert is_complete(run_directory, TRAINING)
