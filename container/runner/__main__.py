"""The job: `python -m container.runner <run_id>`.

Exit code 0: the run succeeded, or nobody waits for it. 10: it failed, and the inner machine was told. 11: it goes on in
the next attempt. Anything else: it ended without a word, and AWS Batch attempts it again.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import boto3
from botocore.config import Config

from container.runner.environment import Environment
from container.runner.following_node import follow
from container.runner.run import EXIT_ATTEMPT_AGAIN, Clients, run
from container.runner.session import RunSession
from container.runner.stop import StopRequest
from gaitway.contracts.errors import InterruptedRunError

_IMPATIENT_CLIENT_CONFIG = Config(
    connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2}
)
"""Asked while the job is being ended, which leaves seconds; or told what is not worth waiting for."""
_CLIENT_CONFIG = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 5})


def main(arguments: Sequence[str] | None = None, simulator: Sequence[str] | None = None) -> int:
    """Read arguments and environment, and do the run.

    Args:
        arguments: The command line's; those of this process when None.
        simulator: Command line of the simulator; that which the environment names when None.

    Returns:
        Exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m container.runner", description="Do the job of a run.")
    parser.add_argument("run_id")
    run_id: str = parser.parse_args(arguments).run_id
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stdout)
    logging.getLogger("botocore").setLevel(logging.WARNING)

    stop = StopRequest()

    def interrupt(number: int, _: FrameType | None) -> None:
        stop.request(
            InterruptedRunError(
                f"the job was told to stop ({signal.Signals(number).name}): its timeout, a Spot reclaim or a user; "
                "start the run again to go on"
            )
        )

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt)

    environment = Environment.of(os.environ)
    command = simulator or [sys.executable, "-m", f"container.simulators.{environment.simulator}"]
    if not environment.is_main_node:
        return follow(run_id, command, environment, stop)
    try:
        return run(run_id, command, environment, _clients(run_id, environment), stop)
    except InterruptedRunError as error:
        # Before the attempt had begun: Batch attempts the job again, or job_state tells how it ended.
        logging.getLogger(__name__).warning("%s: %s", run_id, error)
        return EXIT_ATTEMPT_AGAIN


def _clients(run_id: str, environment: Environment) -> Clients:
    """Make the clients of the run's own session, or of the job's role where there is no other."""
    client: Callable[..., Any] = boto3.client
    if environment.run_access_role is not None:
        client = RunSession(environment.run_access_role, run_id, environment.run_table, _CLIENT_CONFIG).client
    return Clients(
        s3=client("s3", config=_CLIENT_CONFIG),
        dynamodb=client("dynamodb", config=_CLIENT_CONFIG),
        stepfunctions=client("stepfunctions", config=_CLIENT_CONFIG),
        batch=client("batch", config=_IMPATIENT_CLIENT_CONFIG),
        cloudwatch=client("cloudwatch", config=_IMPATIENT_CLIENT_CONFIG),
    )


if __name__ == "__main__":
    sys.exit(main())
