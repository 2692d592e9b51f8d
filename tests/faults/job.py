"""The job of the campaign: the real runner, with a simulator that goes wrong as planned, and with its times scaled.

`python -m tests.faults.job <run_id>`, as AWS Batch starts it; the environment says where the campaign's directory is.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from pathlib import Path

from tests.faults.plan import Plan, note, plan_path

DIRECTORY_VARIABLE = "FAULTS_DIRECTORY"
ENDPOINT_VARIABLE = "FAULTS_ENDPOINT"
SPEEDUP_VARIABLE = "FAULTS_SPEEDUP"
RETRY_SPEEDUP = 20.0
"""How many times shorter calls are tried again: less than other times, since boto3's own attempts take theirs."""


def main() -> int:
    """Begin as the image's entry point does."""
    run_id = sys.argv[1]
    directory = Path(os.environ[DIRECTORY_VARIABLE])
    plan = Plan.read(plan_path(directory, run_id))
    note(directory, run_id, kind="runner", at=time.time(), pid=os.getpid(), batch_job=os.environ["AWS_BATCH_JOB_ID"])
    # Batch's own variables win over those of a job definition, so that the proxy's address comes by another name.
    os.environ["AWS_ENDPOINT_URL"] = os.environ[ENDPOINT_VARIABLE]
    os.environ.update(plan.variables)

    from container.runner import __main__ as runner
    from container.runner import heartbeat

    speedup = float(os.environ[SPEEDUP_VARIABLE])
    for name in ("START_UP_ALLOWANCE_SECONDS", "IDLE_ALLOWANCE_SECONDS", "CALLER_GRACE_SECONDS"):
        if hasattr(heartbeat, name):
            setattr(heartbeat, name, getattr(heartbeat, name) / speedup)
    for module in ("container.runner.retry", "gaitway.outputs.retry"):
        _scale_retries(module)
    if plan.clock_skew_seconds:
        _skew(plan.clock_skew_seconds)
    scripted = [sys.executable, "-m", "tests.faults.simulator", str(directory), run_id]
    return runner.main([run_id], simulator=scripted if plan.simulator == "scripted" else None)


def _scale_retries(name: str) -> None:
    """Shorten for how long calls are tried again, which is a default of the function that does so."""
    if importlib.util.find_spec(name) is not None:
        module = importlib.import_module(name)
        module.retrying.__defaults__ = (module.RETRY_SECONDS / RETRY_SPEEDUP,)


def _skew(seconds: float) -> None:
    """Set this process's clock wrong, as far as it asks with `time.time`; what is signed keeps the right time."""
    right = time.time
    time.time = lambda: right() + seconds


if __name__ == "__main__":
    sys.exit(main())
