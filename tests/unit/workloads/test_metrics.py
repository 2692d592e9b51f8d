"""TensorBoard's events become one table."""

import math
import struct
from pathlib import Path

import pytest
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from gaitway.workloads.event_files import checksums
from gaitway.workloads.metrics import Damage, read_metrics, summarise
from tests.unit.runner.scripted_simulator import LOG_DIRECTORY, log_metrics, write_events


@pytest.fixture(autouse=True)
def run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_row_per_iteration_and_a_column_per_scalar(run_directory: Path) -> None:
    write_events([(1, "Loss/value", 0.5), (0, "Loss/value", 1.0), (1, "Train/mean_reward", 3.0)])

    metrics = read_metrics(run_directory, "rsl_rl")

    assert metrics.to_csv().splitlines() == [
        "step,wall_time,Loss/value,Train/mean_reward",
        "0,1000000000.0,1.0,",
        "1,1000000001.0,0.5,3.0",
    ]


def test_scalars_logged_by_elapsed_seconds_are_left_out(run_directory: Path) -> None:
    write_events([(3, "Train/mean_reward/time", 1.0), (0, "Train/mean_reward", 1.0)])

    metrics = read_metrics(run_directory, "rsl_rl")

    assert list(metrics.columns) == ["wall_time", "Train/mean_reward"]
    assert list(metrics.index) == [0]


def test_an_iteration_trained_again_after_a_resume_counts_once_with_its_later_value(run_directory: Path) -> None:
    write_events([(step, "Train/mean_reward", 10.0 + step) for step in (2, 3)], Path("logs/b"), started=2e9)
    write_events([(step, "Train/mean_reward", step) for step in (0, 1, 2)], Path("logs/z"), started=1e9)

    metrics = read_metrics(run_directory, "rsl_rl")

    assert dict(metrics["Train/mean_reward"]) == {0: 0, 1: 1, 2: 12, 3: 13}


def test_what_a_killed_attempt_logged_beyond_its_last_checkpoint_does_not_count(run_directory: Path) -> None:
    killed = [(step, tag, 1.0) for step in range(60) for tag in ("Loss/value", "Train/mean_reward")]
    write_events(killed, started=1e9)
    # As at the beginning of every attempt, no episode has ended yet at first.
    resumed = [(step, "Loss/value", 2.0) for step in range(41, 50)] + [(49, "Train/mean_reward", 2.0)]
    write_events(resumed, started=2e9)

    metrics = read_metrics(run_directory, "rsl_rl")

    assert list(metrics.index) == list(range(50))
    assert list(metrics["Loss/value"]) == [1.0] * 41 + [2.0] * 9
    assert list(metrics["Train/mean_reward"].dropna()) == [1.0] * 41 + [2.0]


def test_a_run_that_was_resumed_twice_is_one_series(run_directory: Path) -> None:
    for attempt, steps in enumerate((range(30), range(20, 28), range(10, 40))):
        write_events([(step, "Loss/value", float(attempt)) for step in steps], started=(attempt + 1) * 1e9)

    metrics = read_metrics(run_directory, "rsl_rl")

    assert list(metrics["Loss/value"]) == [0.0] * 10 + [2.0] * 30


def test_files_that_one_attempt_writes_side_by_side_all_count(run_directory: Path) -> None:
    write_events([(step, "Loss/value", 1.0) for step in range(5)], LOG_DIRECTORY / "one")
    write_events([(step, "Episode/return", 2.0) for step in range(5)], LOG_DIRECTORY / "other")

    metrics = read_metrics(run_directory, "rsl_rl")

    assert len(metrics.dropna()) == 5


def test_what_rl_games_logs_by_frames_stands_at_its_epoch(run_directory: Path) -> None:
    for epoch in (1, 2):
        frame = epoch * 512
        write_events(
            [
                (frame, "losses/a_loss", epoch / 2),
                (frame, "info/epochs", float(epoch)),
                (frame, "rewards/step", 9.0),
                (epoch, "rewards/iter", 10.0 * epoch),
                (0, "rewards/time", 9.0),
            ],
            started=1e9 * epoch,
        )

    metrics = read_metrics(run_directory, "rl_games")

    assert list(metrics.index) == [1, 2]
    assert set(metrics.columns) == {"wall_time", "losses/a_loss", "info/epochs", "rewards/iter"}
    assert list(metrics["losses/a_loss"]) == [0.5, 1.0]
    assert summarise(metrics, "rl_games", 8).mean_reward == 20.0


def test_the_speed_of_a_library_that_logs_none_follows_from_the_clock(run_directory: Path) -> None:
    write_events([(step, "Loss / Policy loss", 1.0) for step in range(16, 160, 16)])
    write_events([(160, "Loss / Policy loss", 1.0), (176, "Loss / Policy loss", 1.0)], started=2e9)

    figures = summarise(read_metrics(run_directory, "skrl"), "skrl", num_envs=8)

    # A second per time step; and what lies between the attempts counts for nothing.
    assert figures.mean_steps_per_second == 8
    assert figures.training_seconds == 16 * 9


def test_the_speed_of_a_library_that_counts_all_environments_steps_is_that_of_its_steps(run_directory: Path) -> None:
    write_events([(step, "train/loss", 1.0) for step in range(1024, 5 * 1024, 1024)])

    figures = summarise(read_metrics(run_directory, "sb3"), "sb3", num_envs=64)

    # A second per step, as above.
    assert figures.mean_steps_per_second == 1


def test_a_file_that_ends_in_the_middle_of_a_record_is_read_up_to_there(run_directory: Path) -> None:
    write_events([(0, "Loss/value", 1.0), (1, "Loss/value", 2.0)])
    (events,) = LOG_DIRECTORY.glob("events*")
    events.write_bytes(events.read_bytes()[:-3])

    assert list(read_metrics(run_directory, "rsl_rl").index) == [0]


def test_no_events_make_an_empty_table(run_directory: Path) -> None:
    assert read_metrics(run_directory, "rsl_rl").empty


def test_the_figures_of_a_training_come_from_its_metrics(run_directory: Path) -> None:
    log_metrics(8)

    figures = summarise(read_metrics(run_directory, "rsl_rl"), "rsl_rl", 8)

    assert figures.mean_reward == 3.5
    assert figures.mean_steps_per_second == 1000
    assert figures.training_seconds == pytest.approx(2.0)


def test_figures_that_were_not_logged_are_none(run_directory: Path) -> None:
    write_events([(0, "Loss/value", 1.0)])

    figures = summarise(read_metrics(run_directory, "rsl_rl"), "rsl_rl", 8)

    assert figures.mean_reward is None
    assert figures.mean_steps_per_second is None


def events(run_directory: Path) -> Path:
    """Log five iterations, and return the file."""
    write_events([(step, "Loss/value", float(step)) for step in range(5)])
    (path,) = run_directory.rglob("events.out.tfevents.*")
    return path


def frame(data: bytes, *, length: int | None = None, checksum: int | None = None) -> bytes:
    """Write a record, with a length or a checksum that may be wrong."""
    header = struct.pack("<Q", len(data) if length is None else length)
    footer = struct.pack("<I", masked_crc32c(data) if checksum is None else checksum)
    return header + struct.pack("<I", masked_crc32c(header)) + data + footer


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (b"Traceback (most recent call last):\n", "from some place on it is not an event file"),
        (b"\xff" * 64, "from some place on it is not an event file"),
        (b"\0" * 64, "from some place on it is not an event file"),
        (frame(b"\xff\xff no event"), "a record in it is not an event"),
        (frame(b"damaged", checksum=1), "a record in it has a wrong checksum"),
        # As a process that was killed leaves it: this is no damage.
        (frame(b"unfinished", length=2**60), None),
        (frame(b"unfinished")[:-6], None),
        (b"\5\0\0", None),
    ],
)
def test_what_is_right_in_a_damaged_file_is_read(run_directory: Path, rest: bytes, expected: str | None) -> None:
    path = events(run_directory)
    with path.open("ab") as file:
        file.write(rest)
    damage = Damage()

    metrics = read_metrics(run_directory, "rsl_rl", damage)

    assert list(metrics["Loss/value"]) == [0, 1, 2, 3, 4]
    assert list(damage.files) == ([] if expected is None else [path.name])
    assert all(what.startswith(expected or "") for what in damage.files.values())


def test_a_record_that_was_changed_is_left_out_and_those_after_it_are_read(run_directory: Path) -> None:
    path = events(run_directory)
    data = path.read_bytes()
    where = data.index(struct.pack("<f", 2.0))
    path.write_bytes(data[:where] + struct.pack("<f", 999.0) + data[where + 4 :])
    damage = Damage()

    metrics = read_metrics(run_directory, "rsl_rl", damage)

    assert list(metrics["Loss/value"]) == [0, 1, 3, 4]
    assert damage.files == {path.name: "a record in it has a wrong checksum, and is left out"}


def test_another_file_is_read_if_one_is_text_or_a_folder(run_directory: Path) -> None:
    path = events(run_directory)
    path.with_name("events.out.tfevents.0.text").write_text("no events\n" * 9)
    path.with_name("events.out.tfevents.1.folder").mkdir()
    damage = Damage()

    assert len(read_metrics(run_directory, "rsl_rl", damage)) == 5

    assert set(damage.files) == {"events.out.tfevents.0.text", "events.out.tfevents.1.folder"}


def test_figures_are_finite_or_absent(run_directory: Path) -> None:
    write_events([(0, "Train/mean_reward", math.inf), (0, "Perf/total_fps", math.nan), (0, "Loss/value", math.nan)])
    damage = Damage()

    summary = summarise(read_metrics(run_directory, "rsl_rl", damage), "rsl_rl", 8)

    assert (summary.mean_reward, summary.mean_steps_per_second) == (None, None)
    assert damage.not_finite == {"Train/mean_reward", "Perf/total_fps", "Loss/value"}


def test_checksums_are_those_of_tensorboard() -> None:
    texts = [bytes(range(length)) for length in (0, 1, 3, 8, 200, 7)]
    assert checksums(texts) == [masked_crc32c(text) for text in texts]


@pytest.mark.parametrize("name", ["step", "wall_time"])
def test_a_scalar_by_the_name_of_a_column_of_ours_is_kept_beside_it(run_directory: Path, name: str) -> None:
    write_events([(0, name, 7.5)])
    metrics = read_metrics(run_directory, "rsl_rl")
    assert metrics[f"{name} (scalar)"].tolist() == [7.5]
    assert metrics["wall_time"].tolist() == [1e9]
