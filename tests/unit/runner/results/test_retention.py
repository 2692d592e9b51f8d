"""EFS keeps the checkpoints that a run may need again."""

from pathlib import Path

from gaitway.contracts.artifacts import ManifestEntry
from gaitway.outputs.checkpoint_log import CHECKPOINT_LOG, CheckpointLog
from gaitway.runner.results.retention import expendable
from gaitway.workloads.checkpoints import Checkpoint

CHECKPOINTS = [Checkpoint(Path(f"model_{iteration}.pt"), iteration + 1) for iteration in (0, 20, 40, 60, 80, 100)]


def names(rewards: dict[str, float | None], checkpoints: list[Checkpoint] | None = None) -> list[str]:
    return [each.name for each in expendable(CHECKPOINTS if checkpoints is None else checkpoints, rewards)]


def entry(name: str, size: int = 1) -> ManifestEntry:
    return ManifestEntry(path=f"checkpoints/{name}", size=size, sha256="0" * 64)


def test_the_newest_three_and_the_best_stay() -> None:
    assert names({"model_20.pt": 9.0, "model_40.pt": 3.0, "model_100.pt": 5.0}) == ["model_0.pt", "model_40.pt"]


def test_of_equally_good_ones_the_longest_trained_stays() -> None:
    assert names({"model_0.pt": 9.0, "model_20.pt": 9.0}) == ["model_0.pt", "model_40.pt"]


def test_without_rewards_the_newest_three_stay() -> None:
    assert names({}) == ["model_0.pt", "model_20.pt", "model_40.pt"]


def test_a_librarys_own_best_always_stays() -> None:
    best = Checkpoint(Path("best_agent.pt"), None)

    assert "best_agent.pt" not in names({}, [best, *CHECKPOINTS])


def test_few_checkpoints_all_stay() -> None:
    assert names({}, CHECKPOINTS[:3]) == []


def test_the_log_outlives_an_attempt(tmp_path: Path) -> None:
    log = CheckpointLog(tmp_path)
    log.note(entry("model_0.pt"), None)
    log.note(entry("model_20.pt"), 4.5)
    log.note(entry("model_20.pt", size=2), 5.5)

    later = CheckpointLog(tmp_path)

    assert later.entries == [entry("model_0.pt"), entry("model_20.pt", size=2)]
    assert later.mean_reward("checkpoints/model_20.pt") == 5.5
    assert later.mean_reward("checkpoints/model_0.pt") is None


def test_the_log_of_an_attempt_that_was_killed_in_the_middle_of_a_line_is_read_up_to_there(tmp_path: Path) -> None:
    CheckpointLog(tmp_path).note(entry("model_0.pt"), 1.0)
    with (tmp_path / CHECKPOINT_LOG).open("a") as file:
        file.write('{"entry": {"pa')

    log = CheckpointLog(tmp_path)
    log.note(entry("model_20.pt"), 2.0)

    assert CheckpointLog(tmp_path).entries == [entry("model_0.pt"), entry("model_20.pt")]


def test_a_reward_that_is_no_number_is_not_the_best(tmp_path: Path) -> None:
    log = CheckpointLog(tmp_path)
    log.note(entry("model_0.pt"), float("nan"))

    assert CheckpointLog(tmp_path).mean_reward("checkpoints/model_0.pt") is None
