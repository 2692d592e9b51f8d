"""A simulator that takes a second and leaves the files of a training: `stub_simulator.py <outputs> <job file>`.

It imports only the standard library, so that the measurement is of the runner.
"""

# ruff: noqa: T201 - it prints, as simulators do

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

SECONDS = 1.0


def main(outputs: str, job_file: str) -> None:
    """Wait, and leave the files."""
    ends_at = time.monotonic() + SECONDS
    iterations = json.loads(Path(job_file).read_text())["training"]["maxIterations"]
    for done in range(1, iterations + 1):
        print(f"Trained iterations: {done}/{iterations} (1000 steps/s, mean reward 1.0)", flush=True)
        time.sleep(SECONDS / iterations / 2)
    # A second attempt finds the files of the first one.
    shutil.copytree(outputs, "logs", dirs_exist_ok=True)
    time.sleep(max(0.0, ends_at - time.monotonic()))


if __name__ == "__main__":
    main(*sys.argv[1:])
