"""Many runs at once, and what their time was spent on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bench.load.stub_simulator import SECONDS as SIMULATOR_SECONDS
from bench.load.use import Invocation, invocations, state_transitions
from bench.load.world import World
from bench.processes import BenchError
from gaitway.client.runs import StartedRun
from gaitway.contracts.artifacts import MANIFEST
from gaitway.contracts.run import RunState

Json = dict[str, Any]

_SUBMITTERS = 16
_POLL_SECONDS = 1.0
_QUOTED_LINES = 15
_SECONDS_PER_RUN = 30.0
"""Time for each run before it counts as lost; on two busy cores a run takes two to four seconds."""


@dataclass(frozen=True)
class Overhead:
    """The time of a run without its simulator, in seconds."""

    submission: float
    """From the caller's start until the job is in the queue."""
    job: float
    """From the container's start until the job has reported its result, without the simulator's second."""
    end: float
    """From then until the caller has received the result."""

    @property
    def total(self) -> float:
        """The sum."""
        return self.submission + self.job + self.end


@dataclass(frozen=True)
class Burst:
    """Runs that were started at once."""

    seconds: float
    """From the first caller's start until the last one received its result."""
    overheads: tuple[Overhead, ...]
    state_transitions: tuple[int, ...]
    """Of each run."""
    invocations: tuple[Invocation, ...]
    emulator_mib: float
    """Peak resident memory."""
    processes_mib: float
    """Peak resident memory of all functions and jobs together."""
    wrong: tuple[str, ...]
    """Descriptions of what went wrong."""


def burst(world: World, count: int, on_progress: Callable[[int], None]) -> Burst:
    """Start runs at once, and wait for all of them.

    Args:
        world: The deployment.
        count: Number of runs.
        on_progress: Called with the number of runs that have ended.

    Raises:
        BenchError: They do not end.
    """
    since = datetime.now(UTC)
    began = time.monotonic()
    with ThreadPoolExecutor(_SUBMITTERS) as pool:
        runs = list(pool.map(lambda _: world.start(), range(count)))
    emulator_mib = processes_mib = 0.0
    while (running := world.running()) > 0:
        on_progress(count - running)
        emulator, processes = world.resident_mib()
        emulator_mib, processes_mib = max(emulator_mib, emulator), max(processes_mib, processes)
        if time.monotonic() - began > _SECONDS_PER_RUN * count:
            raise BenchError(f"{running} of {count} runs did not end")
        time.sleep(_POLL_SECONDS)
    on_progress(count)
    executions: list[Json] = [world.stepfunctions.describe_execution(executionArn=run.execution_arn) for run in runs]
    wrong = tuple(
        words for run, execution in zip(runs, executions, strict=True) for words in _wrong(world, run, execution)
    )
    wrong += tuple(_shared(runs))
    return Burst(
        seconds=(
            max(one["stopDate"] for one in executions) - min(one["startDate"] for one in executions)
        ).total_seconds(),
        overheads=tuple(_overhead(world, run, one) for run, one in zip(runs, executions, strict=True))
        if not wrong
        else (),
        state_transitions=tuple(state_transitions(world, run) for run in runs),
        invocations=tuple(invocations(world, since)),
        emulator_mib=emulator_mib,
        processes_mib=processes_mib,
        wrong=wrong,
    )


def _wrong(world: World, run: StartedRun, execution: Json) -> list[str]:
    """Describe the runs that did not end as expected."""
    record = world.runs.record(run.run_id)
    if execution["status"] != "SUCCEEDED":
        return [f"{run.run_id}: its caller was told {execution.get('error')}: {execution.get('cause')}"]
    if record is None or record.state is not RunState.SUCCEEDED:
        return [f"{run.run_id}: its record does not say that it succeeded"]
    if world.status(record.execution_arn or "") != "SUCCEEDED":
        return [f"{run.run_id}: its inner execution did not succeed"]
    jobs = world.jobs(run.run_id)
    if len(jobs) != 1:
        return [f"{run.run_id}: it had {len(jobs)} jobs"]
    attempts = jobs[0]["attempts"]
    if len(attempts) != 1:
        said = " / ".join(world.job_log(attempts[0])[-_QUOTED_LINES:])
        return [f"{run.run_id}: its job had {len(attempts)} attempts; the first one said: {said}"]
    manifest = run.output_files / MANIFEST
    world.session.client("s3").head_object(Bucket=manifest.bucket, Key=manifest.key)
    return []


def _shared(runs: Sequence[StartedRun]) -> list[str]:
    prefixes = {str(run.output_files) for run in runs}
    return [] if len(prefixes) == len(runs) else ["two runs wrote to the same prefix"]


def _overhead(world: World, run: StartedRun, execution: Json) -> Overhead:
    record = world.runs.record(run.run_id)
    (job,) = world.jobs(run.run_id)
    events = world.events(record.execution_arn or "") if record else []
    told = next(
        event["timestamp"]
        for event in events
        if event["type"] == "TaskStateExited" and event["stateExitedEventDetails"]["name"] == "SubmitJob"
    )
    started = datetime.fromtimestamp(job["startedAt"] / 1000, UTC)
    return Overhead(
        submission=(datetime.fromtimestamp(job["createdAt"] / 1000, UTC) - execution["startDate"]).total_seconds(),
        job=(told - started).total_seconds() - SIMULATOR_SECONDS,
        end=(execution["stopDate"] - told).total_seconds(),
    )
