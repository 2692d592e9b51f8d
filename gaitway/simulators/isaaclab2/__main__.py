"""Run a simulation: `python -m gaitway.simulators.isaaclab2 simulation.json`, in the run's directory.

Exit code 2 with one line on stderr: the job requests something that does not exist. Exit code 3 with one line: the
training diverged. Exit code 4 with one line: it was stopped on request, and is saved. Others keep their traceback.
The process always ends on its own, whatever Kit does.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from pathlib import Path

from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import SimulationJob
from gaitway.contracts.workload import EvaluationConfig, TrainingConfig
from gaitway.simulators.common.exits import KNOWN_ERRORS, end, report
from gaitway.simulators.common.ranks import Ranks, end_with_launcher, only_one_speaks
from gaitway.simulators.isaaclab2.caches import keep_caches
from gaitway.simulators.isaaclab2.evaluate import evaluate
from gaitway.simulators.isaaclab2.installation import enter_isaac_sim, launcher_pid
from gaitway.simulators.isaaclab2.tasks import with_own_name
from gaitway.simulators.isaaclab2.train import train

_MODULE = "gaitway.simulators.isaaclab2"
_OVERRIDE_ERRORS = ("hydra.", "omegaconf.")
"""Modules of Hydra's errors about overrides."""
_WRONG_VALUE = "[Config]:"
"""The beginnings of Isaac Lab's errors that refuse an override's value."""


def main(arguments: list[str]) -> int:
    """Train or evaluate, as the job requests; returns only if Kit has not ended the process before."""
    parser = argparse.ArgumentParser(prog=f"python -m {_MODULE}", description=__doc__)
    parser.add_argument("job", type=Path, help="the simulation.json that the runner wrote")
    job_file = parser.parse_args(arguments).job
    try:
        enter_isaac_sim(_MODULE, arguments)
        _simulate(SimulationJob.model_validate_json(job_file.read_text()))
    except KNOWN_ERRORS as error:
        return report(error)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException as error:
        if type(error).__module__.startswith(_OVERRIDE_ERRORS) or str(error).startswith(_WRONG_VALUE):
            return report(RequestError(f"hydraOverrides: {error}"))
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
    job = with_own_name(job)
    match job.training:
        case TrainingConfig():
            train(job, ranks)
        case EvaluationConfig() if ranks.is_distributed:
            raise RequestError("gpusPerNode and numNodes: an evaluation runs in one process, allowed: 1")
        case EvaluationConfig():
            evaluate(job)
        case other:
            raise RequestError(f"trainingConfig.mode is {other.mode!r}, which Isaac Lab is not used for here")


if __name__ == "__main__":
    # Not sys.exit: handlers that Kit has registered for the end of the process may hang, or exit with 0.
    end(main(sys.argv[1:]))
