"""The job of the campaign: the real runner, with a simulator that fails as planned, and with scaled times.

`python -m tests.faults.job <run_id>`, as back ends start it; an environment variable names the campaign's directory.
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
"""By which factor retries of calls are shortened: less than other times, because boto3's own attempts take unscaled
time."""
JOIN_SPEEDUP = 100.0
"""By which factor the nodes' wait for each other is shortened: here they start at once, and pull no image."""
_FIRST_PORT, _PORTS = 12_000, 16_000
"""Below the ports that the system gives to connections."""


def main() -> int:
    """Start as the image's entry point does."""
    run_id = sys.argv[1]
    directory = Path(os.environ[DIRECTORY_VARIABLE])
    plan = Plan.read(plan_path(directory, run_id))
    node = os.environ.get("AWS_BATCH_JOB_NODE_INDEX", "0")
    kind = "runner" if node == os.environ.get("AWS_BATCH_JOB_MAIN_NODE_INDEX", "0") else "node"
    note(directory, run_id, kind=kind, at=time.time(), pid=os.getpid(), batch_job=os.environ.get("AWS_BATCH_JOB_ID"))
    if kind == "node" and int(os.environ["AWS_BATCH_JOB_ATTEMPT"]) in plan.late_node_attempts:
        note(directory, run_id, kind="fault", at=time.time(), do="late node", moment="start")
        time.sleep(3600)
    # All nodes, also those of other jobs, are processes on this machine.
    os.environ["GAITWAY_NODE_PORT"] = str(_FIRST_PORT + int(run_id.removeprefix("run-"), 16) % _PORTS)
    # Batch's own variables win over those of a job definition, so that the proxy's address has another name.
    os.environ["AWS_ENDPOINT_URL"] = os.environ[ENDPOINT_VARIABLE]
    os.environ.update(plan.variables)

    from gaitway.contracts.limits import NODES_JOIN_SECONDS
    from gaitway.runner import __main__ as runner
    from gaitway.runner.processes import following_node, leading_node
    from gaitway.runner.reporting import heartbeat

    speedup = float(os.environ[SPEEDUP_VARIABLE])
    for name in ("START_UP_ALLOWANCE_SECONDS", "IDLE_ALLOWANCE_SECONDS", "CALLER_GRACE_SECONDS"):
        if hasattr(heartbeat, name):
            setattr(heartbeat, name, getattr(heartbeat, name) / speedup)
    for nodes in (leading_node, following_node):
        setattr(nodes, "NODES_JOIN_SECONDS", NODES_JOIN_SECONDS / JOIN_SPEEDUP)  # noqa: B010 - imported there by name
    for module in ("gaitway.runner.retry", "gaitway.outputs.retry"):
        _scale_retries(module)
    if plan.clock_skew_seconds:
        _skew(plan.clock_skew_seconds)
    scripted = [sys.executable, "-m", "tests.faults.simulator", str(directory), run_id]
    return runner.main([run_id], simulator=scripted if plan.simulator == "scripted" else None)


def _scale_retries(name: str) -> None:
    """Shorten the time for retries of calls, which is a default value of the function that retries."""
    if importlib.util.find_spec(name) is not None:
        module = importlib.import_module(name)
        for function in ("retrying", "retrying_if"):
            if hasattr(module, function):
                getattr(module, function).__defaults__ = (module.RETRY_SECONDS / RETRY_SPEEDUP,)


def _skew(seconds: float) -> None:
    """Set this process's clock wrong, for calls of `time.time` only; signatures keep the right time."""
    right = time.time
    time.time = lambda: right() + seconds


if __name__ == "__main__":
    sys.exit(main())
