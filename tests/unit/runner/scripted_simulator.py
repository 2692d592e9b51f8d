"""A simulator that does no physics: a real process that prints and writes what rsl_rl and Isaac Lab do.

    python scripted_simulator.py <script> simulation.json

Each function of `SCRIPTS` is one way to behave.
"""

# ruff: noqa: T201 - it prints, as simulators do

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Any, cast

import psutil
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from gaitway.contracts.simulation import (
    EXIT_BAD_REQUEST,
    EXIT_NOT_A_NUMBER,
    EXIT_STOPPED,
    EXPORTED_ONNX,
    EXPORTED_SUMMARY,
    EXPORTED_TORCHSCRIPT,
    STOP_FILE,
    live_view_line,
)

COMMAND = (sys.executable, str(Path(__file__)))
LOG_DIRECTORY = Path("logs/rsl_rl/cartpole/2026-11-20_12-00-00")
SECONDS_PER_ITERATION = 0.25
RANK = int(os.environ.get("RANK", "0"))
"""Among the processes that torchrun starts."""
ALONE = "RANK" not in os.environ
"""As in the pre-flight of several processes."""
JOB: dict[str, Any] = {}
"""What `simulation.json` says."""


def write_checkpoint(iteration: int, content: str = "weights") -> None:
    """Write one as torch.save does: a zip archive."""
    LOG_DIRECTORY.mkdir(parents=True, exist_ok=True)
    temporary = LOG_DIRECTORY / f".model_{iteration}"
    with zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr("data.pkl", f"{content} {iteration}")
    temporary.rename(LOG_DIRECTORY / f"model_{iteration}.pt")


def write_events(scalars: list[tuple[int, str, float]], directory: Path = LOG_DIRECTORY, started: float = 1e9) -> None:
    """Write TensorBoard events: step, tag and value of each."""
    writer = EventFileWriter(str(directory))
    for step, tag, value in scalars:
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
        writer.add_event(Event(step=step, wall_time=started + step, summary=summary))
    writer.close()


def print_iteration(iteration: int, total: int) -> None:
    """Print what rsl_rl 5 prints."""
    print("#" * 80)
    print(f"\033[1m{f' Learning iteration {iteration}/{total} '.center(80)}\033[0m \n")
    print(f"{'Steps per second:':>40} {1000 + iteration} ")
    print(f"{'Mean reward:':>40} {iteration / 2:.2f}")


def train(total: int, until: int | None = None, first: int = 0) -> None:
    """Train from the `first` iteration `until` another, with a checkpoint every other one and after the last."""
    (LOG_DIRECTORY / "git").mkdir(parents=True, exist_ok=True)
    (LOG_DIRECTORY / "git" / "gaitway.diff").write_text("--- git diff ---\n")
    (LOG_DIRECTORY / "params").mkdir(exist_ok=True)
    (LOG_DIRECTORY / "params" / "agent.yaml").write_text("seed: 42\n")
    done = total if until is None else until
    for iteration in range(first, done):
        print_iteration(iteration, total)
        if iteration % 2 == 0 or iteration == total - 1:
            write_checkpoint(iteration)


def log_metrics(total: int, first: int = 0) -> None:
    """Log a few scalars for each iteration, and one that rsl_rl logs by elapsed seconds."""
    scalars = [(0, "Train/mean_reward/time", 7.0)]
    for iteration in range(first, total):
        scalars += [
            (iteration, "Train/mean_reward", iteration / 2),
            (iteration, "Perf/total_fps", 1000.0),
            (iteration, "Perf/collection_time", SECONDS_PER_ITERATION / 2),
            (iteration, "Perf/learning_time", SECONDS_PER_ITERATION / 2),
        ]
    # Later attempts log later.
    write_events(scalars, started=1e9 if first == 0 else 2e9)


def evaluate(episodes: int, *, rows: int | None = None, video: bool = False) -> None:
    """Leave what an evaluation leaves."""
    directory = Path("evaluation")
    directory.mkdir()
    for episode in range(episodes):
        print(f"Evaluated episodes: {episode + 1}/{episodes}")
    with (directory / "metrics.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["episode", "return", "success"])
        table.writerows([episode, 4.5, True] for episode in range(episodes if rows is None else rows))
    if video:
        (directory / "videos").mkdir()
        (directory / "videos" / "episode-0.mp4").write_bytes(b"video")
    summary = {
        "episodes": episodes, "mean_return": 4.5, "std_return": 0.0, "min_return": 4.5, "max_return": 4.5,
        "mean_length": 300.0, "success_rate": 1.0, "success_definition": "the pole stays up",
    }  # fmt: skip
    (directory / "summary.json").write_text(json.dumps(summary))


def hold() -> None:
    """Stay, until a signal ends the process."""
    while True:
        time.sleep(3600)


def succeed(training: dict[str, Any]) -> None:
    if RANK != 0:
        print(f"rank {RANK} of {os.environ['WORLD_SIZE']} on node {os.environ['GROUP_RANK']}")
        return
    ran_with = {"simulator": "scripted", "device": "none", "versions": {"scripts": "1.0"}}
    Path("ran-with.json").write_text(json.dumps(ran_with))
    if training["mode"] == "evaluate":
        evaluate(training["numEpisodes"], video=training["recordVideo"])
        return
    first = 0
    if continue_from := JOB.get("continue_from"):
        print(f"Continuing from {continue_from}")
        first = int(Path(continue_from).stem.partition("_")[2]) + 1
    train(training["maxIterations"], first=first)
    log_metrics(training["maxIterations"], first)


def show_itself(training: dict[str, Any]) -> None:
    """Say where a page is, and end after somebody has looked at it."""
    print(live_view_line(4711))
    while not Path("looked-at").exists():
        time.sleep(0.05)
    succeed(training)


def crash_half_way(training: dict[str, Any]) -> None:
    """Die without warning, with more logged than saved."""
    train(training["maxIterations"], until=training["maxIterations"] // 2)
    log_metrics(training["maxIterations"] // 2 + 1)
    os.kill(os.getpid(), signal.SIGKILL)


def succeed_once_then_crash_half_way(training: dict[str, Any]) -> None:
    """Pass the pre-flight of a training that then crashes."""
    (succeed if training["maxIterations"] == 1 else crash_half_way)(training)


def lose_the_runner(training: dict[str, Any]) -> None:
    """Die together with the runner, as with the machine."""
    train(training["maxIterations"], until=training["maxIterations"] // 2)
    log_metrics(training["maxIterations"] // 2)
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def fail_to_start(_: dict[str, Any]) -> None:
    raise RuntimeError("the device answers with error 13")


def fail_in_rank_1(training: dict[str, Any]) -> None:
    """Fail in one of several processes, while the others wait for it."""
    if ALONE:
        succeed(training)
        return
    if RANK == 0:
        train(training["maxIterations"], until=2)
    elif RANK == 1:
        await_checkpoint("model_0.pt")
        raise RuntimeError("rank 1 has lost its way")
    hold()


def vanish_in_rank_1(training: dict[str, Any]) -> None:
    """Take the whole node of one process away, while the others wait for it."""
    if ALONE:
        succeed(training)
        return
    if RANK == 0:
        train(training["maxIterations"], until=2)
    elif RANK == 1:
        await_checkpoint("model_0.pt")
        torchrun = psutil.Process().parent()
        assert torchrun is not None
        runner = torchrun.parent()
        assert runner is not None
        for process in (runner, torchrun, psutil.Process()):
            process.kill()
    hold()


def await_checkpoint(name: str) -> None:
    """Wait until rank 0 has saved it."""
    while not (LOG_DIRECTORY / name).is_file():
        time.sleep(0.05)


def diverge(training: dict[str, Any]) -> None:
    train(training["maxIterations"], until=3)
    print("NaN in the weights of actor at iteration 4", file=sys.stderr)
    sys.exit(EXIT_NOT_A_NUMBER)


def export(training: dict[str, Any]) -> None:
    succeed(training)
    (LOG_DIRECTORY / "exported").mkdir(exist_ok=True)
    for name in (EXPORTED_TORCHSCRIPT, EXPORTED_ONNX, EXPORTED_SUMMARY):
        (LOG_DIRECTORY / "exported" / name).write_text(name)


def crash_at_shutdown(training: dict[str, Any]) -> None:
    export(training)
    os.kill(os.getpid(), signal.SIGSEGV)


def exit_early(training: dict[str, Any]) -> None:
    train(training["maxIterations"], until=training["maxIterations"] // 2)
    log_metrics(training["maxIterations"] // 2)


def crash(training: dict[str, Any]) -> None:
    train(training["maxIterations"], until=1)
    raise RuntimeError("CUDA error: out of memory")


def refuse(training: dict[str, Any]) -> None:
    print(f"trainingConfig.task is {training['task']!r}, which is not registered", file=sys.stderr)
    sys.exit(EXIT_BAD_REQUEST)


def need_cameras(training: dict[str, Any]) -> None:
    """Fail as Isaac Lab 2.3.2 does (sensors/camera/camera.py) unless cameras are enabled."""
    print(f"cameras: {training['enableCameras']}")
    if not training["enableCameras"]:
        raise RuntimeError(
            "A camera was spawned without the --enable_cameras flag. Please use --enable_cameras to enable rendering."
        )
    succeed(training)


def need_cameras_and_crash(training: dict[str, Any]) -> None:
    need_cameras({**training, "maxIterations": 2})
    raise RuntimeError("the machine is gone")


def log_nothing(training: dict[str, Any]) -> None:
    train(training["maxIterations"])


def event_file() -> Path:
    (path,) = LOG_DIRECTORY.glob("events.out.tfevents.*")
    return path


def damage_the_events(training: dict[str, Any]) -> None:
    """Train, and leave an event file of which the last third is text."""
    succeed(training)
    data = event_file().read_bytes()
    event_file().write_bytes(data[: len(data) * 2 // 3] + b"Traceback (most recent call last):\n" * 20)


def leave_text_for_events(training: dict[str, Any]) -> None:
    succeed(training)
    event_file().write_text("this is no event file\n" * 10)


def log_numbers_that_are_not_finite(training: dict[str, Any]) -> None:
    """Train well, while a scalar of the task is NaN, another infinite, and the mean reward both in turn."""
    total = training["maxIterations"]
    train(total)
    print(f"{'Mean reward:':>40} nan ")
    print(f"{'Mean reward:':>40} inf ")
    log_metrics(total)
    odd = [(step, tag, float(value)) for step in range(total) for tag, value in (("Task/a", "nan"), ("Task/b", "inf"))]
    write_events([*odd, (total - 1, "Train/mean_reward", float("inf")), (1, "Perf/total_fps", float("nan"))])


def lose_a_video(training: dict[str, Any]) -> None:
    succeed(training)
    print("Warning of the simulation: there is no video rl-video-step-0.mp4: no codec", flush=True)


def crash_after_the_last_iteration(training: dict[str, Any]) -> None:
    """Die with everything trained, and nothing exported."""
    succeed(training)
    os.kill(os.getpid(), signal.SIGSEGV)


def stay_after_the_work(training: dict[str, Any]) -> None:
    succeed(training)
    hold()


def hang(training: dict[str, Any]) -> None:
    if training.get("maxIterations") == 1:
        # The pre-flight of several nodes.
        succeed(training)
        return
    train(training.get("maxIterations", 9), until=2)
    hold()


def train_until_asked_to_stop(training: dict[str, Any]) -> None:
    """Save no checkpoint but the one that is asked for."""
    for iteration in range(training["maxIterations"]):
        print_iteration(iteration, training["maxIterations"])
        time.sleep(0.05)
        if Path(STOP_FILE).exists():
            log_metrics(iteration + 1)
            write_checkpoint(iteration)
            sys.exit(EXIT_STOPPED)


def hang_with_child_and_ignore_sigterm(training: dict[str, Any]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    Path("child.pid").write_text(str(child.pid))
    Path("group.pid").write_text(str(os.getpgrp()))
    hang(training)


SCRIPTS: dict[str, Callable[[dict[str, Any]], None]] = {
    script.__name__: script
    for script in (
        succeed, show_itself, export, stay_after_the_work, crash_at_shutdown, log_nothing, exit_early,
        damage_the_events, leave_text_for_events, log_numbers_that_are_not_finite, lose_a_video,
        crash_after_the_last_iteration,
        crash, crash_half_way, succeed_once_then_crash_half_way,
        train_until_asked_to_stop, lose_the_runner, fail_to_start, fail_in_rank_1, vanish_in_rank_1, diverge, refuse,
        need_cameras, need_cameras_and_crash,
        hang, hang_with_child_and_ignore_sigterm,
    )
}  # fmt: skip


if __name__ == "__main__":
    # Otherwise a line and its end are two writes, and a line of another process of the group can come between them.
    for stream in (sys.stdout, sys.stderr):
        cast("TextIOWrapper", stream).reconfigure(line_buffering=True, write_through=False)
    JOB = json.loads(Path(sys.argv[2]).read_text())
    SCRIPTS[sys.argv[1]](JOB["training"])
