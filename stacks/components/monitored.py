"""What dashboard, alarms and saved queries look at."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_efs as efs
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn

from gaitway.names import Names


@dataclass(frozen=True)
class WatchedFunction:
    """A function."""

    verb: str
    """What it does: `construct_run`. Alarms are named after it."""
    function: lambda_.Function
    logs: logs.ILogGroup


@dataclass(frozen=True)
class WatchedMachine:
    """A state machine."""

    definition: str
    """Its definition: `pipeline`. Alarms are named after it."""
    machine: sfn.StateMachine
    logs: logs.ILogGroup


@dataclass(frozen=True)
class Monitored:
    """The monitored parts of a deployment."""

    names: Names
    functions: tuple[WatchedFunction, ...]
    pipeline: WatchedMachine
    workflow: WatchedMachine
    heartbeat: WatchedFunction
    """One of the functions, which a schedule calls every few minutes."""
    rules: dict[str, events.Rule]
    """The rules that call functions, by a name in kebab case."""
    lost_events: sqs.Queue
    clusters: tuple[str, ...]
    """The back ends whose jobs an agent submits, which takes orders from a queue."""
    file_system: efs.FileSystem
    """In elastic throughput mode: there are no burst credits."""
    bucket: s3.IBucket
