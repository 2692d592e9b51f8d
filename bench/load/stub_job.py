"""The job under load, `python -m bench.load.stub_job <run_id>`: the real runner, with a simulator that only waits."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gaitway.runner.__main__ import main

OUTPUTS_VARIABLE = "BENCH_SIMULATOR_OUTPUTS"
"""Directory with the files that the simulator leaves."""

if __name__ == "__main__":
    simulator = Path(__file__).with_name("stub_simulator.py")
    sys.exit(main(sys.argv[1:], simulator=(sys.executable, str(simulator), os.environ[OUTPUTS_VARIABLE])))
