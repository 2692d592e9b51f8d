"""Tries a version on this robot, in a process of its own with limits, before it may be in use.

The process plays the observations of golden.npz to its own onnxruntime, compares the actions with those that the
training library computed, and measures how long one step takes: `python -m gaitway_device.trial DIRECTORY`.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from gaitway_device.errors import DeviceError, TrialError
from gaitway_device.network import Network
from gaitway_device.version import GOLDEN

_WARM_UP_STEPS, _TIMED_STEPS = 20, 200


@dataclass(frozen=True)
class Limits:
    """What a trial may take.

    Attributes:
        seconds: Processor time, and half of the time on the clock.
        memory_bytes: Address space of the process.
        share_of_period: The part of a control period that a step may take, at the 99th percentile.
    """

    seconds: int = 60
    memory_bytes: int = 4 << 30
    share_of_period: float = 0.5


@dataclass(frozen=True)
class Trial:
    """What was found.

    Attributes:
        max_abs_difference: The largest difference between an action here and where it was trained.
        step_p99_seconds: Processor time of one step at the 99th percentile, for one robot.
        steps: How many steps were compared.
    """

    max_abs_difference: float
    step_p99_seconds: float
    steps: int


def try_out(directory: Path, limits: Limits) -> Trial:
    """Try a version.

    Args:
        directory: Of the version.
        limits: What it may take.

    Raises:
        TrialError: It acts otherwise than where it was trained, is too slow, or takes too much.
    """
    command = [sys.executable, "-m", "gaitway_device.trial", str(directory), json.dumps(asdict(limits))]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=2 * limits.seconds, check=False)
    except subprocess.TimeoutExpired:
        raise TrialError(f"the trial did not end within {2 * limits.seconds} s") from None
    lines = ended.stdout.splitlines()
    try:
        said = json.loads(lines[-1])
    except (IndexError, ValueError):
        last = (ended.stderr.strip().splitlines() or ["it wrote nothing"])[-1]
        raise TrialError(f"the trial ended with exit code {ended.returncode}: {last}") from None
    if "error" in said:
        raise TrialError(said["error"])
    return Trial(**said)


def _play(network: Network, golden: Path) -> tuple[float, int]:
    with np.load(golden, allow_pickle=False) as arrays:
        observations, actions = arrays["observations"], arrays["actions"]
    if observations.ndim != 3 or actions.ndim != 3 or observations.shape[:2] != actions.shape[:2]:
        raise TrialError(f"{GOLDEN} has observations of the shape {observations.shape}, actions of {actions.shape}")
    if not observations.size:
        raise TrialError(f"{GOLDEN} has no observations")
    network.reset(observations.shape[1])
    difference = 0.0
    for given, expected in zip(observations, actions, strict=True):
        acted = network.step(given)
        if acted.shape != expected.shape:
            raise TrialError(f"{GOLDEN} has {expected.shape[-1]} actions, and the network {acted.shape[-1]}")
        difference = max(difference, float(np.abs(acted - expected).max()))
    return difference, len(observations)


def _time(network: Network, golden: Path) -> float:
    """Return what a step takes at the 99th percentile, for one robot.

    Processor time, since the trial makes way for what else the robot does, and the policy in use will not.
    """
    with np.load(golden, allow_pickle=False) as arrays:
        observations = arrays["observations"].reshape(-1, 1, arrays["observations"].shape[-1])
    network.reset()
    seconds = []
    for number in range(_WARM_UP_STEPS + _TIMED_STEPS):
        began = time.thread_time()
        network.step(observations[number % len(observations)])
        seconds.append(time.thread_time() - began)
    return float(np.percentile(seconds[_WARM_UP_STEPS:], 99))


def _judge(directory: Path, limits: Limits) -> Trial:
    network = Network(directory)
    golden = directory / GOLDEN
    try:
        difference, steps = _play(network, golden)
    except (OSError, ValueError, KeyError) as error:
        raise TrialError(f"{GOLDEN} cannot be read: {error}") from error
    tolerance = network.description.tolerance
    # NaN is not within it either.
    if not difference <= tolerance:
        raise TrialError(
            f"actions differ by {difference:.3g} from those where the policy was trained, and may by {tolerance:.3g}: "
            "does this robot's onnxruntime compute otherwise?"
        )
    p99 = _time(network, golden)
    control_hz = network.description.control_hz
    if control_hz is not None and p99 > limits.share_of_period / control_hz:
        raise TrialError(
            f"a step takes {1000 * p99:.2f} ms on this robot, and may take "
            f"{1000 * limits.share_of_period / control_hz:.2f} ms of a control period of {1000 / control_hz:.2f} ms"
        )
    return Trial(difference, p99, steps)


def main() -> None:
    """Try the version in the directory that is given, within the limits that are given; print what was found."""
    limits = Limits(**json.loads(sys.argv[2]))
    for kind, most in ((resource.RLIMIT_AS, limits.memory_bytes), (resource.RLIMIT_CPU, limits.seconds)):
        resource.setrlimit(kind, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(10)
    try:
        said = asdict(_judge(Path(sys.argv[1]), limits))
    except (DeviceError, MemoryError) as error:
        said = {"error": str(error) or "the policy takes more memory than a trial may"}
    print(json.dumps(said))  # noqa: T201 - this is what the process is for


if __name__ == "__main__":
    main()
