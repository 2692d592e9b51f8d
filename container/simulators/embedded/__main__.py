"""Run a simulation: `python -m container.simulators.embedded simulation.json`, in the run's directory.

Exit code 2 with one line on stderr: the job asks for what is not there. Exit code 3 with one line: the training
diverged. Exit code 4 with one line: it was asked to stop, and is saved. Any other error is left to its traceback.
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

from container.simulators.common.errors import NotANumberError, TrainingStoppedError
from container.simulators.common.ranks import Ranks, end_with_launcher
from container.simulators.embedded.simulation import run
from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import EXIT_BAD_REQUEST, EXIT_NOT_A_NUMBER, EXIT_STOPPED, SimulationJob

CPU_THREADS = 1
"""With networks this small two threads gain nothing, and lose a factor of two to eight where the runner or an emulated
cloud is at work on the other core: 50 iterations with 256 environments took 3.5 s with one, 5.8 s and 27 s with two."""


def main(arguments: list[str]) -> int:
    """Train or evaluate, as the job says."""
    parser = argparse.ArgumentParser(prog="python -m container.simulators.embedded", description=__doc__)
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
                # One process speaks.
                silence = stack.enter_context(Path(os.devnull).open("w"))
                stack.enter_context(contextlib.redirect_stdout(silence))
            stack.enter_context(warnings.catch_warnings())
            # The libraries use what torch has deprecated: nobody who reads this output can mend that.
            for module in ("torch", "rl_games", "skrl", "tensorboardX"):
                warnings.filterwarnings("ignore", category=DeprecationWarning, module=rf"{module}\b")
            run(SimulationJob.model_validate_json(job_file.read_text()), ranks)
    except RequestError as error:
        # One line: the runner reports the last one.
        return _fail(" ".join(str(error).split()), EXIT_BAD_REQUEST)
    except NotANumberError as error:
        return _fail(str(error), EXIT_NOT_A_NUMBER)
    except TrainingStoppedError as error:
        code = _fail(str(error), EXIT_STOPPED)
        if ranks.is_distributed:
            # torch would take leave of processes that are amid an iteration; torchrun ends them when this one is gone.
            os._exit(code)
        return code
    if not ranks.leads:
        # It has nothing more to write or to say. At times torch's threads abort an interpreter that ends ("terminate
        # called without an active exception"), and torchrun would then end the leading process amid its export.
        os._exit(0)
    return 0


def _fail(line: str, exit_code: int) -> int:
    print(line, file=sys.stderr)  # noqa: T201
    return exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
