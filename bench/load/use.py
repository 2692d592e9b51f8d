"""What one run uses of AWS, counted call by call."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bench.load.prices import Use, read_units, write_units
from bench.load.world import World
from bench.processes import BenchError
from gaitway.client.runs import StartedRun

Json = dict[str, Any]

_OUR_OWN_KEY = "test"
"""Access key of the measurement itself; functions and jobs use the sessions of their roles."""
_TABLE_CALLS = ("GetItem", "PutItem", "UpdateItem", "TransactWriteItems")
_S3_WRITES = ("PutObject", "CreateMultipartUpload", "ListObjects")
_S3_READS = ("GetObject", "HeadObject")
_MOST_EVENTS = 50
"""The most that one call of LookupEvents returns; the embedded AWS has no second page."""
_EVENT_BYTES = 26
"""What CloudWatch Logs adds for each event to the size of its text."""
_REPORT = re.compile(r"Billed Duration: (\d+) ms\tMemory Size: (\d+) MB\tMax Memory Used: (\d+) MB")
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Invocation:
    """One call of a function."""

    function: str
    milliseconds: int
    memory_mib: int
    used_mib: int

    @property
    def gb_seconds(self) -> float:
        """What Lambda bills."""
        return self.milliseconds / 1_000 * self.memory_mib / 1_024


@dataclass(frozen=True)
class Counted:
    """A run that was alone in the pipeline."""

    use: Use
    calls: Counter[str]
    """API calls by name."""
    invocations: tuple[Invocation, ...]
    record_bytes: int


def count_run(world: World) -> Counted:
    """Do a run, and count its use of AWS.

    Raises:
        BenchError: It failed.
    """
    since = datetime.now(UTC)
    run = world.start()
    _until(lambda: world.status(run.execution_arn) != "RUNNING", "the run to end")
    if world.status(run.execution_arn) != "SUCCEEDED":
        raise BenchError(f"{run.run_id} failed: {world.runs.caller_view(run).failure}")
    # The event of the job's end comes after that, and is the last call for the run.
    _until(
        lambda: any(one.function == "job_state" for one in invocations(world, since)), "the job's end to be heard of"
    )
    calls = _calls(world, since)
    items = {name: _item_bytes(item) for name, item in world.items(run.run_id).items()}
    called = tuple(invocations(world, since))
    by_name = Counter(name for name, _ in calls)
    return Counted(
        use=Use(
            state_transitions=state_transitions(world, run),
            lambda_invocations=len(called),
            lambda_gb_seconds=sum(one.gb_seconds for one in called),
            write_units=sum(_write_units(name, parameters, items) for name, parameters in calls),
            read_units=sum(
                read_units(items[parameters["Key"]["item"]["S"]]) for name, parameters in calls if name == "GetItem"
            ),
            s3_writes=sum(by_name[name] for name in _S3_WRITES),
            s3_reads=sum(by_name[name] for name in _S3_READS),
            log_bytes=_log_bytes(world, since),
        ),
        calls=by_name,
        invocations=called,
        record_bytes=items["run"],
    )


def state_transitions(world: World, run: StartedRun) -> int:
    """Count the states that both executions of a run entered, and their retries, which AWS counts, too."""
    record = world.runs.record(run.run_id)
    executions = [run.execution_arn, *([record.execution_arn] if record and record.execution_arn else [])]
    kinds = Counter(event["type"] for arn in executions for event in world.events(arn))
    entered = sum(count for kind, count in kinds.items() if kind.endswith("StateEntered"))
    return entered + kinds["TaskScheduled"] - kinds["TaskStateEntered"]


def invocations(world: World, since: datetime) -> list[Invocation]:
    """List the calls of our functions, without those by the schedule."""
    found = []
    for function in world.functions:
        verb = function["Handler"].split(".")[1]
        if verb == "heartbeat":
            continue
        for message in world.log_events(_log_group(function), since):
            if match := _REPORT.search(message):
                duration, memory, used = map(int, match.groups())
                found.append(Invocation(verb, duration, memory, used))
    return found


def _log_group(function: Json) -> str:
    return str(function.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{function['FunctionName']}")


def _calls(world: World, since: datetime) -> list[tuple[str, Json]]:
    """List the calls to DynamoDB and S3, with their parameters."""
    calls = []
    for name in (*_TABLE_CALLS, *_S3_WRITES, *_S3_READS):
        events = world.cloudtrail.lookup_events(
            LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": name}],
            StartTime=since.replace(microsecond=0),
        )["Events"]
        recent = [event for event in events if event["EventTime"] >= since and event["AccessKeyId"] != _OUR_OWN_KEY]
        if len(events) == _MOST_EVENTS and events[-1]["EventTime"] >= since:
            raise BenchError(f"a run has more calls of {name} than can be looked up")
        calls += [(name, _parameters(event)) for event in recent]
    return calls


def _parameters(event: Json) -> Json:
    parameters: Json = json.loads(event["CloudTrailEvent"])["requestParameters"] or {}
    return parameters


def _write_units(name: str, parameters: Json, items: Mapping[str, int]) -> int:
    """Return the write units of a call: an upper bound, from the final size of the items."""
    match name:
        case "UpdateItem":
            return write_units(items[parameters["Key"]["item"]["S"]]) + _index_units(parameters)
        case "PutItem":
            return write_units(items["run"]) + 1
        case "TransactWriteItems":
            return sum(
                _transacted(kind, action, items)
                for item in parameters["TransactItems"]
                for kind, action in item.items()
            )
    return 0


def _transacted(kind: str, action: Json, items: Mapping[str, int]) -> int:
    key = action["Item"] if kind == "Put" else action["Key"]
    # A condition check is billed like a write.
    return write_units(items[key["item"]["S"]], transaction=True) + (1 if kind == "Put" else 0)


def _index_units(parameters: Json) -> int:
    """Return the write units in the index for a change of the record: an item that moves is deleted and put."""
    changed = parameters.get("ExpressionAttributeValues", {})
    return 2 if ":new_state" in changed else 1 if ":new_job_id" in changed else 0


def _item_bytes(item: Mapping[str, Mapping[str, Any]]) -> int:
    """docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html."""
    return sum(len(name) + sum(len(str(value).encode()) for value in typed.values()) for name, typed in item.items())


def _log_bytes(world: World, since: datetime) -> int:
    pages = world.logs.get_paginator("describe_log_groups").paginate()
    groups = [group["logGroupName"] for page in pages for group in page["logGroups"]]
    messages = [message for group in groups for message in world.log_events(group, since)]
    return sum(len(message.encode()) + _EVENT_BYTES for message in messages)


def _until(condition: Callable[[], bool], words: str) -> None:
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > give_up_at:
            raise BenchError(f"waited in vain for {words}")
        time.sleep(0.2)
