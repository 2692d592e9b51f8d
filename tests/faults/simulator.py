"""A simulator without physics that fails as planned: `python -m tests.faults.simulator <dir> <run> <file>`.

It leaves the files of rsl_rl, records every checkpoint that it wrote, and imports only the standard library.
"""

# ruff: noqa: T201 - it prints, as simulators do

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.plan import END, START, Act, Plan, ledger, note, plan_path

LOGS = Path("logs/rsl_rl/cartpole/2026-11-20_12-00-00")
_PADDING_BYTES = 2_000


class Simulator:
    """One start of the simulator.

    Args:
        directory: The campaign's directory.
        run_id: The run.
        job: Content of `simulation.json`.
    """

    def __init__(self, directory: Path, run_id: str, job: dict[str, Any]) -> None:
        self.directory = directory
        self.run_id = run_id
        self.training: dict[str, Any] = job["training"]
        self.continue_from: str | None = job.get("continue_from")
        self.plan = Plan.read(plan_path(directory, run_id))
        self.rank = int(os.environ.get("RANK", "0"))
        """Rank among the processes that torchrun has started, one on each node."""
        self.is_preflight = Path.cwd().name == "preflight"
        mine = f"simulator {self.rank}" if self.rank else "preflight" if self.is_preflight else "simulator"
        self.attempt = 1 + sum(entry["kind"] == mine for entry in ledger(directory, run_id))
        self.note(mine, continue_from=self.continue_from)

    def note(self, kind: str, **entry: object) -> None:
        """Record what happens."""
        note(self.directory, self.run_id, kind=kind, at=time.time(), attempt=self.attempt, **entry)

    def run(self) -> None:
        """Train or evaluate."""
        self.act(START)
        if self.training["mode"] == "evaluate":
            self.evaluate()
        else:
            self.train()
        self.act(END)

    def act(self, moment: int | str) -> None:
        """Fail, if a fault is planned for this point."""
        for act in () if self.is_preflight else self.plan.acts:
            if act.rank == self.rank and act.at == moment and (not act.attempts or self.attempt in act.attempts):
                self.note("fault", do=act.do, moment=moment)
                print(f"FAULT {act.do} at {moment}", flush=True)
                ACTS[act.do](self, act)

    def train(self) -> None:
        """Train from where an earlier attempt ended, with a checkpoint at each interval and after the last
        iteration."""
        total, interval = self.training["maxIterations"], self.training["checkpointInterval"] or 2
        first = int(Path(self.continue_from).stem.partition("_")[2]) + 1 if self.continue_from else 0
        if self.rank:
            self.accompany(first, total)
            return
        (LOGS / "params").mkdir(parents=True, exist_ok=True)
        (LOGS / "params" / "agent.yaml").write_text("seed: 42\n")
        events = LOGS / f"events.out.tfevents.{self.attempt}"
        for iteration in range(first, total):
            time.sleep(self.plan.pace_seconds)
            self.await_other(iteration)
            with events.open("ab") as file:
                file.write(scalars(iteration, self.attempt))
            print(
                f"Trained iterations: {iteration + 1}/{total} (1000 steps/s, mean reward {iteration / 2})", flush=True
            )
            if iteration % interval == 0 or iteration == total - 1:
                self.save(iteration)
            self.act(iteration)

    def accompany(self, first: int, total: int) -> None:
        """Train on a node other than the one that logs and saves."""
        for iteration in range(first, total):
            time.sleep(self.plan.pace_seconds)
            self.act(iteration)
            self.meeting(iteration).touch()

    def await_other(self, iteration: int) -> None:
        """Wait for the process on the other node, as a collective does: without it there is no iteration."""
        while int(os.environ.get("WORLD_SIZE", "1")) > 1 and not self.meeting(iteration).exists():
            time.sleep(0.02)

    def meeting(self, iteration: int) -> Path:
        """Name the file that shows that the other process came this far; it is empty, so that a full disk has room for
        it."""
        return Path(f".meeting-{os.environ['MASTER_PORT']}-{iteration}")

    def save(self, iteration: int) -> None:
        """Write a checkpoint as the libraries' savers do: whole under its own name, or not at all."""
        path = LOGS / f"model_{iteration}.pt"
        temporary = LOGS / f".model_{iteration}"
        content = f"weights {iteration} of attempt {self.attempt} ".encode().ljust(_PADDING_BYTES, b".")
        with zipfile.ZipFile(temporary, "w") as archive:
            archive.writestr("data.pkl", content)
        temporary.rename(path)
        self.skew(path)
        if self.is_preflight:
            return  # it is thrown away
        self.note("checkpoint", name=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())

    def skew(self, path: Path) -> None:
        """Set a file's time to that of this machine's clock."""
        if self.plan.clock_skew_seconds:
            moment = time.time() + self.plan.clock_skew_seconds
            os.utime(path, (moment, moment))

    def evaluate(self) -> None:
        """Evaluate, and leave the figures."""
        episodes = self.training["numEpisodes"]
        directory = Path("evaluation")
        directory.mkdir(exist_ok=True)
        with (directory / "metrics.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["episode", "return", "success"])
            for episode in range(episodes):
                time.sleep(self.plan.pace_seconds)
                table.writerow([episode, 4.5, True])
                file.flush()
                print(f"Evaluated episodes: {episode + 1}/{episodes}", flush=True)
                self.act(episode)
        summary = {
            "episodes": episodes, "mean_return": 4.5, "std_return": 0.0, "min_return": 4.5, "max_return": 4.5,
            "mean_length": 300.0, "success_rate": 1.0, "success_definition": "the pole stays up",
        }  # fmt: skip
        (directory / "summary.json").write_text(json.dumps(summary))


def scalars(iteration: int, attempt: int) -> bytes:
    """Encode an iteration's scalars as a TensorBoard event in a TFRecord, whose checksums are never read.

    The messages are tensorboard's Event (wall_time 1, step 2, summary 5), Summary (value 1) and Summary.Value
    (tag 1, simple_value 2): github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto.
    """
    values = b"".join(
        _field(1, _field(1, tag.encode()) + b"\x15" + struct.pack("<f", value))
        for tag, value in (
            ("Train/mean_reward", iteration / 2),
            ("Perf/total_fps", 1000.0),
            ("Perf/collection_time", 0.05),
            ("Perf/learning_time", 0.05),
        )
    )
    wall_time = b"\x09" + struct.pack("<d", attempt * 1e9 + iteration)
    event = wall_time + b"\x10" + _varint(iteration) + _field(5, values)
    return struct.pack("<QI", len(event), 0) + event + struct.pack("<I", 0)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _newest() -> Path:
    return max(LOGS.glob("model_*.pt"), key=lambda path: int(path.stem.partition("_")[2]))


def _runner() -> int:
    """Find the runner: the parent of this process, or of torchrun."""
    parent = os.getppid()
    if "RANK" not in os.environ:
        return parent
    # The name, in brackets, may hold spaces; then the state, and the parent: man7.org/linux/man-pages/man5/proc.5.html
    return int(Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1])


def kill_self(_: Simulator, __: Act) -> None:
    """End by SIGKILL, as if the kernel killed the process."""
    os.kill(os.getpid(), signal.SIGKILL)


def crash(_: Simulator, __: Act) -> None:
    """End by a signal."""
    os.kill(os.getpid(), signal.SIGSEGV)


def kill_runner(_: Simulator, __: Act) -> None:
    """Kill the runner, and with it the container."""
    os.kill(_runner(), signal.SIGKILL)
    time.sleep(3600)


def terminate_runner(_: Simulator, __: Act) -> None:
    """Stop the runner by SIGTERM, as when a Spot instance is reclaimed."""
    os.kill(_runner(), signal.SIGTERM)
    time.sleep(3600)


def hang(_: Simulator, __: Act) -> None:
    """Do nothing more."""
    time.sleep(3600)


def hang_deaf(_: Simulator, __: Act) -> None:
    """Do nothing more, and ignore signals."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600)


def give_up(_: Simulator, act: Act) -> None:
    """End with an exit code."""
    sys.exit(int(act.value))


def raise_error(_: Simulator, __: Act) -> None:
    """End with an unknown traceback."""
    raise RuntimeError("the device answers with error 13")


def diverge(_: Simulator, act: Act) -> None:
    """Diverge."""
    print(f"NaN in the weights of actor at iteration {act.at}", file=sys.stderr, flush=True)
    sys.exit(3)


def tear(_: Simulator, __: Act) -> None:
    """Leave an incomplete checkpoint, under the name of the newest one."""
    newest = _newest()
    torn = LOGS / f"model_{int(newest.stem.partition('_')[2]) + 1}.pt"
    torn.write_bytes(newest.read_bytes()[:700])


def corrupt(simulator: Simulator, __: Act) -> None:
    """Change a byte in the middle of the newest checkpoint, as a bad disk does."""
    newest = _newest()
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    newest.write_bytes(content)
    simulator.note("corrupted", name=newest.name)


def vanish(simulator: Simulator, __: Act) -> None:
    """Delete the newest checkpoint's file."""
    newest = _newest()
    newest.unlink()
    simulator.note("corrupted", name=newest.name)


def fill_disk(_: Simulator, __: Act) -> None:
    """Fill the rest of the run's disk."""
    with Path("core.dump").open("ab", buffering=0) as file:
        while True:
            try:
                file.write(b"\0" * 1024)
            except OSError:
                return


def flood(_: Simulator, act: Act) -> None:
    """Print megabytes in one line that is not valid text."""
    sys.stdout.buffer.write(b"\xff\x00" * int(act.value * 2**19))
    sys.stdout.buffer.flush()


ACTS: dict[str, Callable[[Simulator, Act], None]] = {
    act.__name__: act
    for act in (
        kill_self, crash, kill_runner, terminate_runner, hang, hang_deaf, give_up, raise_error, diverge, tear, corrupt,
        vanish, fill_disk, flood,
    )
}  # fmt: skip


if __name__ == "__main__":
    Simulator(Path(sys.argv[1]), sys.argv[2], json.loads(Path(sys.argv[3]).read_text())).run()
