"""Run a simulation: `python -m container.simulators.isaaclab simulation.json`, in the run's directory.

Exit code 2 with one line on stderr: the job asks for what is not there. Exit code 3 with one line: the training
diverged. Exit code 4 with one line: it was asked to stop, and is saved. Any other error is left to its traceback. It
ends by itself in any case, whatever Kit does.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from pathlib import Path

from container.simulators.common.errors import NotANumberError, TrainingStoppedError
from container.simulators.common.ranks import Ranks, end_with_launcher
from container.simulators.isaaclab.app import end
from container.simulators.isaaclab.caches import keep_caches
from container.simulators.isaaclab.evaluate import evaluate
from container.simulators.isaaclab.installation import enter_isaac_sim, launcher_pid
from container.simulators.isaaclab.train import only_one_speaks, train
from gaitway.contracts.errors import PlatformError, RequestError
from gaitway.contracts.simulation import EXIT_BAD_REQUEST, EXIT_NOT_A_NUMBER, EXIT_STOPPED, SimulationJob

_MODULE = "container.simulators.isaaclab"
_OVERRIDE_ERRORS = ("hydra.", "omegaconf.")
"""Modules of the errors that Hydra has for what it cannot override."""
_WRONG_VALUE = "[Config]:"
"""How Isaac Lab's errors begin that refuse an override's value."""


def main(arguments: list[str]) -> int:
    """Train or evaluate, as the job says; returns where Kit has not ended the process already."""
    parser = argparse.ArgumentParser(prog=f"python -m {_MODULE}", description=__doc__)
    parser.add_argument("job", type=Path, help="the simulation.json that the runner wrote")
    job_file = parser.parse_args(arguments).job
    try:
        enter_isaac_sim(_MODULE, arguments)
        _simulate(SimulationJob.model_validate_json(job_file.read_text()))
    except (RequestError, PlatformError) as error:
        # One line: the runner reports the last one.
        return _fail(" ".join(str(error).split()), EXIT_BAD_REQUEST if isinstance(error, RequestError) else 1)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except NotANumberError as error:
        return _fail(str(error), EXIT_NOT_A_NUMBER)
    except TrainingStoppedError as error:
        return _fail(str(error), EXIT_STOPPED)
    except BaseException as error:
        if type(error).__module__.startswith(_OVERRIDE_ERRORS) or str(error).startswith(_WRONG_VALUE):
            return _fail(f"hydraOverrides: {' '.join(str(error).split())}", EXIT_BAD_REQUEST)
        traceback.print_exc()
        return 1
    return 0


def _simulate(job: SimulationJob) -> None:
    keep_caches()
    # Hydra would print its errors and exit; this way they are raised.
    os.environ["HYDRA_FULL_ERROR"] = "1"

    ranks = Ranks.from_environment()
    if ranks.is_distributed:
        end_with_launcher(launcher_pid())
        only_one_speaks(ranks)
    if job.training.mode == "train":
        train(job, ranks)
    elif ranks.is_distributed:
        raise RequestError("gpusPerNode and numNodes: an evaluation runs in one process, allowed: 1")
    else:
        evaluate(job)


def _fail(line: str, exit_code: int) -> int:
    print(line, file=sys.stderr)  # noqa: T201
    return exit_code


if __name__ == "__main__":
    # Not sys.exit: what Kit has registered for the end of the process may hang, or exit with 0.
    end(main(sys.argv[1:]))
