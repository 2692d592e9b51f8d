"""Run a simulation: `python -m gaitway.simulators.embedded simulation.json`, in the run's directory.

Exit code 2 with one line on stderr: the job requests something that does not exist. Exit code 3 with one line: the
training diverged. Exit code 4 with one line: it was stopped on request, and is saved. Others keep their traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import warnings
from io import TextIOWrapper
from pathlib import Path

import torch

from gaitway.contracts.simulation import SimulationJob
from gaitway.libraries import LIBRARIES
from gaitway.simulators.common.errors import TrainingStoppedError
from gaitway.simulators.common.exits import KNOWN_ERRORS, report
from gaitway.simulators.common.ranks import Ranks, end_with_launcher
from gaitway.simulators.embedded.simulation import run

CPU_THREADS = 1
"""With networks this small a second thread gains nothing, and makes it two to eight times slower while the runner or an
emulated cloud uses the other core: 50 iterations with 256 environments took 3.5 s with one, 5.8 s and 27 s with two."""


def main(arguments: list[str]) -> int:
    """Train or evaluate, as the job requests."""
    parser = argparse.ArgumentParser(prog="python -m gaitway.simulators.embedded", description=__doc__)
    parser.add_argument("job", type=Path, help="the simulation.json that the runner wrote")
    job_file = parser.parse_args(arguments).job
    if isinstance(sys.stdout, TextIOWrapper):
        # The runner follows progress line by line.
        sys.stdout.reconfigure(line_buffering=True)
    torch.set_num_threads(CPU_THREADS)
    ranks = Ranks.from_environment()
    if ranks.is_distributed:
        end_with_launcher()
    try:
        with contextlib.ExitStack() as stack:
            if not ranks.leads:
                # Only one process prints.
                silence = stack.enter_context(Path(os.devnull).open("w"))
                stack.enter_context(contextlib.redirect_stdout(silence))
            stack.enter_context(warnings.catch_warnings())
            # The libraries use functions that torch has deprecated, which users cannot fix.
            for module in ("torch", "tensorboardX", *(record.module for record in LIBRARIES.values())):
                warnings.filterwarnings("ignore", category=DeprecationWarning, module=rf"{module}\b")
            run(SimulationJob.model_validate_json(job_file.read_text()), ranks)
    except KNOWN_ERRORS as error:
        code = report(error)
        if isinstance(error, TrainingStoppedError) and ranks.is_distributed:
            # torch would wait for processes in the middle of an iteration; torchrun ends them after this one.
            os._exit(code)
        return code
    if not ranks.leads:
        # All its files are written. Sometimes torch's threads abort an interpreter at its end ("terminate called
        # without an active exception"), and torchrun would then end the leading process during its export.
        os._exit(0)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
