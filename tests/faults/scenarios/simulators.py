"""The simulator, and its files on EFS."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path

from tests.faults.campaign import scenario
from tests.faults.plan import END, START, Act
from tests.faults.scenarios.jobs import ATTEMPTS, in_every_attempt
from tests.faults.trial import Expected, Trial, fails, succeeds

KILLED = "simulator killed"
HANGS = "simulator hangs"
DISK_FULL = "disk of EFS full"
_FILLER = "core.dump"
"""The name that the simulator's `fill_disk` uses."""


@scenario(KILLED, "simulate", weight=2)
def simulator_killed_in_the_middle(trial: Trial) -> Expected:
    trial.plan(Act(trial.choose("kill_self", "crash", "raise_error"), trial.moment(), attempts=(1,)))
    trial.start()
    return succeeds(attempts=2)


@scenario(KILLED, "start")
def simulator_dies_at_its_start(trial: Trial) -> Expected:
    trial.plan(Act(trial.choose("kill_self", "crash", "raise_error"), START))
    trial.start()
    return fails("SimulationError", attempts=1)


@scenario(f"{KILLED} in every attempt", "simulate")
def simulator_killed_in_every_attempt(trial: Trial) -> Expected:
    trial.plan(*in_every_attempt("kill_self", trial))
    trial.start()
    return fails("SimulationError", attempts=ATTEMPTS)


@scenario(KILLED, "end")
def simulator_killed_after_its_work(trial: Trial) -> Expected:
    trial.plan(Act(trial.choose("kill_self", "crash"), END, attempts=(1,)))
    trial.start()
    return succeeds()


@scenario(HANGS, "start")
def simulator_hangs_at_its_start(trial: Trial) -> Expected:
    trial.plan(Act(trial.choose("hang", "hang_deaf"), START))
    trial.start()
    return fails("StalledError", attempts=1, told_seconds=trial.silent_seconds)


@scenario(HANGS, "simulate")
def simulator_hangs_in_the_middle(trial: Trial) -> Expected:
    trial.plan(Act(trial.choose("hang", "hang_deaf"), trial.moment(), attempts=(1,)))
    trial.start()
    return succeeds(attempts=2)


@scenario(f"{HANGS} in every attempt", "simulate")
def simulator_hangs_in_every_attempt(trial: Trial) -> Expected:
    trial.plan(*in_every_attempt("hang", trial))
    trial.start()
    return fails("StalledError", attempts=ATTEMPTS)


@scenario(HANGS, "end")
def simulator_does_not_exit(trial: Trial) -> Expected:
    trial.plan(Act(trial.choose("hang", "hang_deaf"), END))
    trial.start()
    return succeeds()


@scenario("training diverges", "simulate", "train")
def training_diverges(trial: Trial) -> Expected:
    trial.plan(Act("diverge", trial.moment()))
    trial.start()
    return fails("NotANumberError", attempts=1)


@scenario("simulator prints megabytes of nonsense", "simulate")
def simulator_floods(trial: Trial) -> Expected:
    trial.plan(Act("flood", trial.moment(), value=4))
    trial.start()
    return succeeds(attempts=1)


@scenario("torn or corrupt checkpoint", "simulate", "train", weight=2)
def newest_checkpoint_is_not_whole(trial: Trial) -> Expected:
    at = trial.moment()
    trial.plan(Act(trial.choose("tear", "corrupt", "vanish"), at, attempts=(1,)), Act("kill_runner", at, attempts=(1,)))
    trial.start()
    return succeeds(attempts=2)


@scenario("torn or corrupt checkpoint", "last attempt", "train")
def checkpoints_of_a_lost_run_are_not_whole(trial: Trial) -> Expected:
    at = trial.moment()
    trial.plan(Act(trial.choose("tear", "corrupt"), at, attempts=(1,)), *in_every_attempt("kill_runner", trial))
    trial.start()
    return fails("InterruptedRunError", attempts=ATTEMPTS)


@scenario(DISK_FULL, "simulate", weight=2)
def disk_is_full_for_a_while(trial: Trial) -> Expected:
    """Space is freed: before the simulator needs it, while the runner waits, or some attempts later."""
    disk = small_disk(trial)
    trial.plan(Act("fill_disk", trial.moment(), attempts=(1,)))
    trial.start()
    free_later(trial, disk, trial.choose(0.0, 2.0, 5.0, 9.0))
    return succeeds()


@scenario(DISK_FULL, "start")
def disk_is_full_as_the_run_begins(trial: Trial) -> Expected:
    disk = small_disk(trial)
    _fill(disk)
    trial.start()
    trial.wait(lambda: any(entry["kind"] == "runner" for entry in trial.ledger), "the runner began")
    trial.now()
    free_later(trial, disk, trial.choose(1.0, 4.0))
    return succeeds(attempts=1)


@scenario(DISK_FULL, "upload")
def disk_is_full_as_the_results_are_written(trial: Trial) -> Expected:
    disk = small_disk(trial)
    trial.plan(Act("fill_disk", END, attempts=(1,)))
    trial.start()
    free_later(trial, disk, trial.choose(1.0, 4.0, 7.0))
    return succeeds(attempts=1)


@scenario(f"{DISK_FULL} for good", "simulate")
def disk_is_full_for_good(trial: Trial) -> Expected:
    small_disk(trial)
    trial.plan(Act("fill_disk", trial.moment()))
    trial.start()
    # Each attempt waits for space.
    return fails("StorageError", attempts=ATTEMPTS, told_seconds=150)


@scenario(f"{DISK_FULL} for good", "upload")
def disk_is_full_for_good_after_the_work(trial: Trial) -> Expected:
    small_disk(trial)
    trial.plan(Act("fill_disk", END))
    trial.start()
    return fails("StorageError", attempts=ATTEMPTS, told_seconds=150)


@scenario("clock two hours wrong", "simulate", weight=2)
def clock_is_wrong(trial: Trial) -> Expected:
    trial.plan(Act("kill_runner", trial.moment(), attempts=(1,)), clock_skew_seconds=trial.choose(-7200, 7200))
    trial.start()
    return succeeds(attempts=2)


@scenario("runner killed -9 (real simulator)", "simulate", "train")
def real_training_is_killed(trial: Trial) -> Expected:
    trial.plan(simulator="embedded")
    trial.asks = {"maxIterations": 60, "checkpointInterval": 5, "numEnvs": 64}
    trial.start()
    trial.wait_for_work(trial.random.randint(3, 8))
    trial.kill_runner()
    return succeeds(attempts=2)


def small_disk(trial: Trial) -> Path:
    """Give the run's directory a file system of its own, with little space: a real ENOSPC."""
    directory = trial.world.future_directory(trial.run_id)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "gaitway-faults", str(directory)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        raise SystemExit(f"a full disk needs a file system of its own, which only root can mount: {mounted.stderr}")

    def unmount() -> None:
        with contextlib.suppress(OSError):
            subprocess.run(["umount", "--lazy", str(directory)], capture_output=True, check=False)

    trial.at_end.append(unmount)
    return directory


def _fill(disk: Path) -> None:
    with contextlib.suppress(OSError), (disk / _FILLER).open("ab", buffering=0) as file:
        while True:
            file.write(b"\\0" * 1024)


def free_later(trial: Trial, disk: Path, seconds: float) -> None:
    """Free the space some time after the disk was filled."""
    trial.wait(lambda: (disk / _FILLER).exists(), "the disk was full")
    time.sleep(seconds)
    (disk / _FILLER).unlink(missing_ok=True)
