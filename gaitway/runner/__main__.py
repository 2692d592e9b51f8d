"""The job: `python -m gaitway.runner <run_id>`.

Exit code 0: the run succeeded, or no caller waits for it. 10: it failed, and the inner machine received the cause. 11:
the next attempt resumes it. Anything else: it ended without a report, and the job is attempted again.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import cache, partial
from types import FrameType
from typing import Any

import boto3
from botocore.config import Config

from gaitway.aws.metrics import Metrics
from gaitway.contracts.errors import InterruptedRunError
from gaitway.runner.host.environment import Environment
from gaitway.runner.host.hosts import host_of
from gaitway.runner.host.node_log import copied_output
from gaitway.runner.host.session import RunSession
from gaitway.runner.processes.following_node import follow
from gaitway.runner.run import EXIT_ATTEMPT_AGAIN, Clients, metrics_place, run
from gaitway.runner.stop import StopRequest

_IMPATIENT_CLIENT_CONFIG = Config(
    connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2}
)
"""For calls while the job is being ended, which leaves seconds; and for reports that are not worth waiting for."""
_CLIENT_CONFIG = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 5})


def main(arguments: Sequence[str] | None = None, simulator: Sequence[str] | None = None) -> int:
    """Read arguments and environment, and run the job.

    Args:
        arguments: The command line's arguments; those of this process when None.
        simulator: Command line of the simulator; the image's own when None.

    Returns:
        Exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m gaitway.runner", description="Do the job of a run.")
    parser.add_argument("run_id")
    run_id: str = parser.parse_args(arguments).run_id
    with copied_output(os.environ):
        return _do(run_id, simulator)


def _do(run_id: str, simulator: Sequence[str] | None) -> int:
    """Do the job: see `main`."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stdout)
    logging.getLogger("botocore").setLevel(logging.WARNING)

    stop = StopRequest()

    def interrupt(number: int, _: FrameType | None) -> None:
        stop.request(
            InterruptedRunError(
                f"the job was asked to stop ({signal.Signals(number).name}): its timeout, a Spot reclaim or a user; "
                "start the run again to resume"
            )
        )

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt)

    environment = Environment.of(os.environ)
    simulator = simulator or [sys.executable, "-m", f"gaitway.simulators.{environment.simulator}"]
    client = _client(run_id, environment)
    host = host_of(os.environ, partial(client, config=_IMPATIENT_CLIENT_CONFIG))
    if not host.nodes.is_main:
        return follow(run_id, simulator, environment.efs_root, host, stop, metrics_place(environment))
    try:
        return run(run_id, simulator, environment, host, _clients(client, environment), stop)
    except InterruptedRunError as error:
        # The attempt has not begun yet. Either another attempt of the job follows, or job_state reports how it ended.
        logging.getLogger(__name__).warning("%s: %s", run_id, error)
        return EXIT_ATTEMPT_AGAIN


def _client(run_id: str, environment: Environment) -> Callable[..., Any]:
    """Return a factory of clients for the run's own session, or for the job's role if there is no session."""

    @cache
    def session() -> RunSession | None:
        role, table = environment.run_access_role, environment.run_table
        if role is None:
            return None
        return RunSession(role, run_id, table, environment.metrics_namespace, _CLIENT_CONFIG)

    def client(service: str, config: Config) -> Any:  # noqa: ANN401 - the stubs know services by literal name only
        create: Any = (session() or boto3).client
        return create(service, config=config)

    return client


def _clients(client: Callable[..., Any], environment: Environment) -> Clients:
    return Clients(
        s3=client("s3", config=_CLIENT_CONFIG),
        dynamodb=client("dynamodb", config=_CLIENT_CONFIG),
        stepfunctions=client("stepfunctions", config=_CLIENT_CONFIG),
        metrics=Metrics(client("cloudwatch", config=_IMPATIENT_CLIENT_CONFIG), environment.metrics_namespace),
    )


if __name__ == "__main__":
    sys.exit(main())
