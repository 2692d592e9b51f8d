"""Run a simulation: `python -m gaitway.simulators.isaaclab3 simulation.json`, in the run's directory.

Exit code 2 with one line on stderr: the job requests something that does not exist. Exit code 3 with one line: the
training diverged. Exit code 4 with one line: it was stopped on request, and is saved. Others keep their traceback.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from io import TextIOWrapper
from pathlib import Path

from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import SimulationJob
from gaitway.contracts.workload import EvaluationConfig, TrainingConfig
from gaitway.simulators.common.exits import KNOWN_ERRORS, end, report
from gaitway.simulators.common.ranks import Ranks, end_with_launcher, only_one_speaks
from gaitway.simulators.isaaclab3.assets.found import Assets
from gaitway.simulators.isaaclab3.evaluate import evaluate
from gaitway.simulators.isaaclab3.installation import enter_isaac_lab
from gaitway.simulators.isaaclab3.train import train

_OVERRIDE_ERRORS = ("hydra.", "omegaconf.")
"""Modules of Hydra's errors about overrides."""
_WRONG_VALUE = "[Config]:"
"""A part of Isaac Lab's errors that refuse an override."""


def main(arguments: list[str]) -> int:
    """Train or evaluate, as the job requests."""
    parser = argparse.ArgumentParser(prog="python -m gaitway.simulators.isaaclab3", description=__doc__)
    parser.add_argument("job", type=Path, help="the simulation.json that the runner wrote")
    job_file = parser.parse_args(arguments).job
    if isinstance(sys.stdout, TextIOWrapper):
        # The runner follows progress line by line.
        sys.stdout.reconfigure(line_buffering=True)
    try:
        _simulate(job_file, enter_isaac_lab())
    except KNOWN_ERRORS as error:
        return report(error)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException as error:
        if type(error).__module__.startswith(_OVERRIDE_ERRORS) or _WRONG_VALUE in str(error):
            return report(RequestError(f"hydraOverrides: {error}"))
        traceback.print_exc()
        return 1
    return 0


def _simulate(job_file: Path, assets: Assets) -> None:
    job = SimulationJob.model_validate_json(job_file.read_text())
    ranks = Ranks.from_environment()
    if ranks.is_distributed:
        end_with_launcher()
        only_one_speaks(ranks)
    match job.training:
        case TrainingConfig():
            train(job_file, job, ranks, assets)
        case EvaluationConfig() if ranks.is_distributed:
            raise RequestError("gpusPerNode and numNodes: an evaluation runs in one process, allowed: 1")
        case EvaluationConfig():
            evaluate(job, assets)
        case other:
            raise RequestError(f"trainingConfig.mode is {other.mode!r}, which Isaac Lab is not used for here")


if __name__ == "__main__":
    # Not sys.exit: the end of an interpreter that has loaded Warp takes four seconds.
    end(main(sys.argv[1:]))
