"""A run is judged by what it left."""

from pathlib import Path

import pytest

from gaitway.contracts.errors import NotANumberError, PlatformError, RequestError, SimulationError, StalledError
from gaitway.contracts.model import S3Uri
from gaitway.contracts.run import Progress
from gaitway.contracts.simulation import EXIT_BAD_REQUEST, EXIT_NOT_A_NUMBER, EvaluationSummary
from gaitway.contracts.workload import EvaluationConfig, TrainingConfig
from gaitway.runner.processes.simulate import Ending, SimulatorExit
from gaitway.runner.verdict.judge import judge_exit, judge_progress, judge_work
from tests.unit.runner.scripted_simulator import evaluate, write_checkpoint

EXIT = SimulatorExit(0, Ending.EXITED, ("Simulation App Shutting Down",))
OUTPUT = S3Uri("bucket", "runs/1/")
TRAINING = TrainingConfig(max_iterations=11)
EVALUATION = EvaluationConfig(num_episodes=3)


@pytest.fixture(autouse=True)
def run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_missing_is_said_with_the_end_of_the_output(run_directory: Path) -> None:
    with pytest.raises(SimulationError, match=r"summary\.json\. The last lines(?s:.)*\nSimulation App"):
        judge_work(EXIT, run_directory, EVALUATION, 1)

    evaluate(3)

    assert isinstance(judge_work(EXIT, run_directory, EVALUATION, 1), EvaluationSummary)


def judge_end(directory: Path, code: int, *lines: str, ending: Ending = Ending.EXITED) -> None:
    judge_exit(SimulatorExit(code, ending, lines), directory, TRAINING, OUTPUT)


def test_a_process_that_failed_is_refused_with_the_end_of_its_output(run_directory: Path) -> None:
    with pytest.raises(SimulationError, match=r"exit code 1\.(?s:.)*RuntimeError: shape mismatch"):
        judge_end(run_directory, 1, "Traceback", "RuntimeError: shape mismatch")


def test_a_process_that_a_signal_ended_is_refused_with_the_signals_name(run_directory: Path) -> None:
    with pytest.raises(SimulationError, match="SIGSEGV"):
        judge_end(run_directory, -11)


@pytest.mark.parametrize("code", [-9, 137])
def test_a_process_that_was_killed_most_likely_had_too_little_memory(run_directory: Path, code: int) -> None:
    with pytest.raises(SimulationError, match="ran out of memory"):
        judge_end(run_directory, code)


def test_a_process_that_was_ended_after_its_work_is_judged_by_its_work(run_directory: Path) -> None:
    judge_end(run_directory, -15, ending=Ending.DONE)


def test_a_simulator_that_finds_the_request_wrong_is_believed(run_directory: Path) -> None:
    with pytest.raises(RequestError, match=r"^no task is called Isaac-Nothing-v0$"):
        judge_end(run_directory, EXIT_BAD_REQUEST, "Loading", "no task is called Isaac-Nothing-v0")
    # Of two processes that refuse, the end of one's line may come last.
    with pytest.raises(RequestError, match=r"^no task is called Isaac-Nothing-v0$"):
        judge_end(run_directory, EXIT_BAD_REQUEST, "no task is called Isaac-Nothing-v0", "")


def test_a_known_failure_is_told_with_its_cause_and_the_last_lines(run_directory: Path) -> None:
    with pytest.raises(PlatformError, match=r"^the GPU driver(?s:.)*exit code 1(?s:.)*too old \(found"):
        judge_end(run_directory, 1, "RuntimeError: The NVIDIA driver on your system is too old (found version 11040)")


def test_a_training_that_diverged_names_the_last_checkpoint_before(run_directory: Path) -> None:
    for iteration in (0, 2, 4, 6):
        write_checkpoint(iteration)

    with pytest.raises(NotANumberError, match=r"^NaN in the loss at iteration 6(?s:.)*s3://bucket/\S+/model_4\.pt"):
        judge_end(run_directory, EXIT_NOT_A_NUMBER, "NaN in the loss at iteration 6")


def test_a_training_that_diverged_at_once_has_no_good_checkpoint(run_directory: Path) -> None:
    with pytest.raises(NotANumberError, match="No checkpoint was saved"):
        judge_end(run_directory, 1, "ValueError: Expected parameter loc to satisfy Real(), but found invalid values:")


def test_a_process_without_progress_is_refused_with_where_it_stood() -> None:
    end = SimulatorExit(-15, Ending.STALLED, ("waiting for rank 3",))

    with pytest.raises(StalledError, match=r"for 901 seconds, after 12 of 80,(?s:.)*waiting for rank 3"):
        judge_progress(end, Progress(done=12, total=80), 901.2)

    judge_progress(EXIT, None, 0)
