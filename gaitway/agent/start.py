"""Starts the agent with what the deployment tells it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path

import boto3
from botocore.config import Config

from gaitway.agent.agent import Agent
from gaitway.agent.health import Health
from gaitway.agent.node_logs import NodeLogs
from gaitway.agent.schedulers import Kind
from gaitway.agent.serve import serve
from gaitway.aws.cluster_jobs import ClusterJobTable
from gaitway.aws.orders import Orders
from gaitway.contracts.cluster import AgentConfig

_CLIENTS = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 3})


def read_parameter(name: str) -> str:
    """Read what the deployment keeps for the agent in Systems Manager."""
    value: str = boto3.client("ssm", config=_CLIENTS).get_parameter(Name=name)["Parameter"]["Value"]
    return value


def start(kind: Kind, told: AgentConfig) -> None:
    """Be the agent until this process is asked to stop.

    Args:
        kind: The cluster's.
        told: What the deployment tells it. Variables say where the file system and the pod's directory are, if it runs
            in a pod.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stdout)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    table = ClusterJobTable(boto3.client("dynamodb", config=_CLIENTS), told.run_table)
    orders = Orders(boto3.client("sqs", config=_CLIENTS), told.queue)
    efs_root = Path(os.environ.get("GAITWAY_EFS_ROOT", told.efs_root))
    logs = NodeLogs(boto3.client("logs", config=_CLIENTS), told.log_group, efs_root) if told.log_group else None
    pod = os.environ.get("GAITWAY_POD_DIRECTORY")
    health = Health(Path(pod) if pod is not None else None)
    serve(Agent(kind.scheduler(told), table, orders, boto3.client("events", config=_CLIENTS), logs), stop, health)
