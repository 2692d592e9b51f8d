"""What each workload makes of what its simulator left."""

from pathlib import Path

import pytest

from gaitway.contracts.artifacts import METRICS
from gaitway.contracts.errors import SimulationError
from gaitway.contracts.simulation import RESUMPTION_FILE, Resumption
from gaitway.contracts.workload import CONFIGS, EvaluationConfig, TrainingConfig
from gaitway.workloads import WORKLOADS, workload_of
from gaitway.workloads.evaluate import EVALUATE
from gaitway.workloads.noted import noted_warnings
from gaitway.workloads.train import TRAIN
from tests.unit.runner.scripted_simulator import LOG_DIRECTORY, evaluate, log_metrics, train, write_checkpoint

TRAINING = TrainingConfig(max_iterations=11)
EVALUATION = EvaluationConfig(num_episodes=3)


@pytest.fixture(autouse=True)
def run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_mode_of_a_request_has_its_workload() -> None:
    assert {mode: workload.config for mode, workload in WORKLOADS.items()} == CONFIGS
    assert {mode: workload.mode for mode, workload in WORKLOADS.items()} == {mode: mode for mode in CONFIGS}


def test_an_unknown_mode_is_no_other_workload() -> None:
    with pytest.raises(ValueError, match="mode is 'imitate', allowed: train, evaluate"):
        workload_of("imitate")


def judge(directory: Path) -> str:
    return TRAIN.judge(directory, TRAINING, 1).final_checkpoint


def test_a_training_that_reached_its_last_iteration_is_accepted(run_directory: Path) -> None:
    train(11)
    log_metrics(11)

    assert judge(run_directory) == "checkpoints/model_10.pt"
    assert (run_directory / METRICS).is_file()


def test_what_resumed_attempts_could_not_restore_is_in_the_results(run_directory: Path) -> None:
    train(11)
    log_metrics(11)
    assert TRAIN.judge(run_directory, TRAINING, 1).resumptions is None
    for iteration in (9, 10):
        note = Resumption(iteration=iteration, restored=("counter",), anew=("terrain levels",))
        (LOG_DIRECTORY / RESUMPTION_FILE.format(iteration=iteration)).write_text(note.model_dump_json(by_alias=True))
    # It is optional: one that is damaged does not fail what is done.
    (LOG_DIRECTORY / RESUMPTION_FILE.format(iteration=5)).write_bytes(b"\xff{")
    found = TRAIN.judge(run_directory, TRAINING, 1).resumptions
    assert found is not None
    assert [(one.iteration, one.anew) for one in found] == [(9, ("terrain levels",)), (10, ("terrain levels",))]


def test_exit_code_0_does_not_make_a_short_training_complete(run_directory: Path) -> None:
    train(11, until=9)
    log_metrics(9)

    with pytest.raises(SimulationError, match=r"11 iterations: .* model_8\.pt, after 9"):
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


def test_an_evaluation_of_all_episodes_is_accepted(run_directory: Path) -> None:
    evaluate(3)

    assert EVALUATE.judge(run_directory, EVALUATION, 1).episodes == 3


@pytest.mark.parametrize(("episodes", "rows"), [(2, 2), (3, 2), (4, 4)])
def test_an_evaluation_of_more_or_fewer_episodes_is_refused(run_directory: Path, episodes: int, rows: int) -> None:
    evaluate(episodes, rows=rows)

    with pytest.raises(SimulationError, match=rf"3 episodes .* tells of {episodes} and .* of {rows}"):
        EVALUATE.judge(run_directory, EVALUATION, 1)


def test_an_evaluation_without_summary_is_refused(run_directory: Path) -> None:
    with pytest.raises(SimulationError, match=r"summary\.json"):
        EVALUATE.judge(run_directory, EVALUATION, 1)


def test_an_evaluation_that_lacks_its_video_is_one_with_a_warning(run_directory: Path) -> None:
    evaluate(3)

    assert EVALUATE.judge(run_directory, EVALUATION.model_copy(update={"record_video": True}), 1).episodes == 3

    assert noted_warnings(run_directory) == ["there is no video of the evaluation, although one was to be recorded"]


def test_work_is_done_when_the_final_checkpoint_is_there(run_directory: Path) -> None:
    write_checkpoint(9)
    assert not TRAIN.is_complete(run_directory, TRAINING)

    write_checkpoint(10)

    assert TRAIN.is_complete(run_directory, TRAINING)


def test_a_training_is_finished_once_its_export_says_so(run_directory: Path) -> None:
    write_checkpoint(10)
    exported = LOG_DIRECTORY / "exported"
    exported.mkdir(parents=True)
    (exported / "policy.pt").touch()
    assert not TRAIN.is_finished(run_directory, TRAINING)

    (exported / "policy.json").touch()

    assert TRAIN.is_finished(run_directory, TRAINING)
