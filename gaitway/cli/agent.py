"""`gaitway agent`: the agent of a cluster, beside its scheduler."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import boto3
import typer
from botocore.config import Config
from pydantic import ValidationError

from gaitway.agent.agent import Agent
from gaitway.agent.node_logs import NodeLogs
from gaitway.agent.schedulers import SCHEDULERS
from gaitway.agent.serve import serve
from gaitway.aws.cluster_jobs import ClusterJobTable
from gaitway.aws.orders import Orders
from gaitway.cli.exits import UsageProblemError
from gaitway.cli.target import DeploymentOption, choose_names
from gaitway.contracts.cluster import AgentConfig

_CLIENTS = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 3})


def agent(
    scheduler: Annotated[str, typer.Option("--scheduler", help=f"The cluster's: {', '.join(SCHEDULERS)}.")],
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="A file with the agent's configuration, for a cluster whose nodes differ from it; else the one that "
            "the deployment keeps in Systems Manager.",
        ),
    ] = None,
    deployment: DeploymentOption = None,
) -> None:
    """Submit the jobs that a deployment orders for this cluster, and report what becomes of them.

    It runs on a machine of the cluster until it is stopped, with the credentials of that machine, and keeps nothing: it
    may be restarted at any time.
    """
    kind = SCHEDULERS.get(scheduler)
    if kind is None:
        raise UsageProblemError(f"--scheduler is {scheduler!r}, allowed: {', '.join(SCHEDULERS)}")
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stdout)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    parameter = choose_names(deployment).agent_parameter(kind.backend)
    text = config.read_text(encoding="utf-8") if config is not None else _parameter(parameter)
    try:
        told = AgentConfig.read(text)
    except ValidationError as error:
        raise UsageProblemError(f"{config or parameter} is no configuration of an agent: {error}") from error
    table = ClusterJobTable(boto3.client("dynamodb", config=_CLIENTS), told.run_table)
    orders = Orders(boto3.client("sqs", config=_CLIENTS), told.queue)
    logs = (
        NodeLogs(boto3.client("logs", config=_CLIENTS), told.log_group, Path(told.efs_root)) if told.log_group else None
    )
    serve(Agent(kind.scheduler(told), table, orders, boto3.client("events", config=_CLIENTS), logs), stop)


def _parameter(name: str) -> str:
    value: str = boto3.client("ssm", config=_CLIENTS).get_parameter(Name=name)["Parameter"]["Value"]
    return value
