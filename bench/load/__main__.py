"""`python -m bench.load`: 200 runs at once, and what a run costs; writes docs/load.md.

With `--runs` fewer than 200 the page goes to build/load.md. Exit code 1: a run did not end as expected, or a goal was
missed.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from bench.load.burst import Burst, burst
from bench.load.prices import AS_OF, HOURS_A_MONTH, METRIC_MONTH, METRIC_REQUEST, Use, read_units, write_units
from bench.load.use import Counted, Invocation, count_run
from bench.load.world import ITERATIONS, World, world_under_load
from bench.machine import QUIET_LOAD, describe_commit, describe_machine, describe_versions
from bench.measurement import Goal, Measurement
from bench.report import Conditions, missed_goals, write_page
from gaitway.contracts.metrics import METRICS
from gaitway.installation import REPOSITORY_ROOT
from gaitway.local.server import FUNCTIONS_AT_ONCE
from gaitway.runner.host.environment import Environment
from gaitway.runner.reporting.cloudwatch import LOOK_SECONDS, LOOKS_PER_REQUEST
from gaitway.runner.reporting.record import interval_seconds

PAGE = REPOSITORY_ROOT / "docs" / "load.md"
SMALL_PAGE = REPOSITORY_ROOT / "build" / "load.md"

RUNS = 200
COUNTED_RUNS = 5
GOAL_USD = 0.005

LONG_HOURS = 8
LONG_ITERATIONS = 1500
LONG_CHECKPOINTS = 30
LOG_BYTES_PER_ITERATION = 1_500
"""Roughly what Isaac Lab prints with rsl_rl."""
SERVICE_METRICS = 6
"""The metrics that the heartbeat function publishes."""
RUN_METRICS = sum(metric.dimension == "RunId" for metric in METRICS)

INTRODUCTION = (
    "Runs go through the real stacks, functions, state machines, job queue and runner on the embedded AWS; the "
    "simulator is a process that passes a second and leaves a small training's files. Times are of this machine, where "
    "functions, jobs and AWS itself share the cores; counts are the same in an account. Costs leave out free tiers and "
    "what depends on the work alone: instances, EFS, storage, traffic."
)


def main(arguments: list[str]) -> int:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="how many at once")
    count: int = parser.parse_args(arguments).runs
    # The embedded AWS is a separate process, which must be ended.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    console = Console()
    began_at, load_before = datetime.now(UTC), os.getloadavg()[0]
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="gaitway-load-") as directory,
        Progress(console=console) as progress,
        world_under_load(Path(directory)) as world,
    ):
        first, counted = _count(world, progress)
        task = progress.add_task("runs at once", total=count)
        outcome = burst(world, count, lambda ended: progress.update(task, completed=ended))
    results = [_throughput(outcome, count), _use(counted, outcome), _costs(first, counted)]
    conditions = Conditions(
        began_at=began_at,
        minutes=(time.monotonic() - began) / 60,
        command="python -m bench.load" + (f" --runs {count}" if count != RUNS else ""),
        commit=describe_commit(),
        seed=0,
        machine=describe_machine(),
        versions=describe_versions(),
        load_before=load_before,
        is_quiet=load_before <= QUIET_LOAD,
    )
    page = PAGE if count == RUNS else SMALL_PAGE
    page.parent.mkdir(exist_ok=True)
    page.write_text(write_page(conditions, results, title="Load", introduction=INTRODUCTION))
    console.print(f"{page.relative_to(REPOSITORY_ROOT)} written, after {conditions.minutes:.0f} minutes")
    for words in outcome.wrong:
        console.print(f"[red]wrong[/red]: {words}", highlight=False)
    for goal in missed_goals(results):
        console.print(f"[red]missed[/red]: {goal.words}", highlight=False)
    return 1 if missed_goals(results) else 0


def _count(world: World, progress: Progress) -> tuple[Counted, list[Counted]]:
    """Count what single runs use; the first run starts the functions' processes."""
    task = progress.add_task("runs one by one", total=COUNTED_RUNS + 1)
    counted = []
    for _ in range(COUNTED_RUNS + 1):
        counted.append(count_run(world))
        progress.advance(task)
    return counted[0], counted[1:]


def _throughput(outcome: Burst, count: int) -> Measurement:
    rows = [
        (words, *_percentiles([getattr(one, name) for one in outcome.overheads]))
        for name, words in (
            ("submission", "until the job stands in the queue"),
            ("job", "in the job, beside the simulator"),
            ("end", "until the caller is told, after the job's result"),
            ("total", "together"),
        )
    ]
    right = count - len({words.partition(":")[0] for words in outcome.wrong})
    return Measurement(
        title=f"{count} runs at once",
        method=f"{count} callers start at once; {FUNCTIONS_AT_ONCE} functions and four jobs run side by side. Overhead "
        "is what a run takes beside its simulator's second and beside waiting for one of the four places.",
        columns=("overhead per run", "median, s", "99th percentile, s", "longest, s"),
        rows=tuple(rows),
        goals=(
            Goal(
                f"every run ends right, with one execution, one job, one manifest: {right} of {count}",
                met=not outcome.wrong,
                likely_reason="; ".join(outcome.wrong[:3]),
            ),
        ),
        notes=(
            f"{count / outcome.seconds * 60:.0f} runs per minute, {outcome.seconds:.0f} s in all.",
            f"Memory at most: {outcome.emulator_mib:.0f} MiB in the embedded AWS, {outcome.processes_mib:.0f} MiB in "
            "all functions and jobs together.",
        ),
    )


def _use(counted: Sequence[Counted], outcome: Burst) -> Measurement:
    alone = _by_function(one for run in counted for one in run.invocations)
    burst = _by_function(outcome.invocations)
    runs = len(outcome.state_transitions)
    rows = tuple(
        (
            name,
            f"{len(calls) / len(counted):.2f}",
            f"{statistics.median(one.milliseconds for one in calls):.0f}",
            f"{len(burst[name]) / runs:.2f}",
            f"{statistics.median(one.milliseconds for one in burst[name]):.0f}" if burst[name] else "-",
            str(max(one.used_mib for one in [*calls, *burst[name]])),
        )
        for name, calls in sorted(alone.items())
    )
    alone_transitions = statistics.mean(run.use.state_transitions for run in counted)
    calls = counted[0].calls
    written = ", ".join(f"{count} {name}" for name, count in sorted(calls.items()))
    return Measurement(
        title="What a run uses",
        method=f"Counted call by call in {len(counted)} runs that had the pipeline for themselves, and under load from "
        "the executions' histories and the functions' reports.",
        columns=(
            "function",
            "calls per run",
            "median, ms",
            "calls under load",
            "median under load, ms",
            "memory used, MB",
        ),
        rows=rows,
        notes=(
            f"State transitions per run, of both state machines: {alone_transitions:.0f}, and under load, where Step "
            f"Functions tries throttled calls again, {statistics.mean(outcome.state_transitions):.1f}.",
            f"Calls to DynamoDB and S3 of a run with {ITERATIONS} checkpoints: {written}.",
            f"A record has {counted[0].record_bytes} bytes in the end: a write takes "
            f"{write_units(counted[0].record_bytes)} units.",
        ),
    )


def _costs(first: Counted, counted: Sequence[Counted]) -> Measurement:
    warm = counted[len(counted) // 2].use
    cold = replace(warm, lambda_gb_seconds=first.use.lambda_gb_seconds)
    long = add_hours(cold, counted[0].record_bytes)
    rows = [(service, *(f"{use.costs()[service]:.6f}" for use in (warm, cold, long))) for service in warm.costs()]
    totals = [sum(use.costs().values()) for use in (warm, cold, long)]
    words = ("warm", "cold", f"{LONG_HOURS} hours")
    minutes_a_request = LOOK_SECONDS * LOOKS_PER_REQUEST / 60
    hourly_metrics = RUN_METRICS * METRIC_MONTH / HOURS_A_MONTH
    hourly_requests = 60 / minutes_a_request * METRIC_REQUEST
    return Measurement(
        title="What a run costs",
        method=f"In USD, at list prices of us-east-1 as of {AS_OF} (`bench/load/prices.py`): a run whose functions are "
        f"warm, one whose functions all start anew, and one that trains for {LONG_HOURS} hours ({LONG_ITERATIONS} "
        f"iterations, {LONG_CHECKPOINTS} further checkpoints, {LOG_BYTES_PER_ITERATION:,} bytes of log per iteration, "
        "progress and heartbeats as the runner sends them), which is computed from the counts.",
        columns=("service", *words),
        rows=(*rows, ("together", *(f"{total:.6f}" for total in totals))),
        goals=tuple(
            Goal(
                f"{name}: at most {GOAL_USD} USD: {total:.6f}",
                met=total <= GOAL_USD,
                likely_reason="see the largest row",
            )
            for name, total in zip(words, totals, strict=True)
        ),
        notes=(
            f"Independent of runs, a deployment pays {SERVICE_METRICS * METRIC_MONTH:.2f} USD a month for "
            f"{SERVICE_METRICS} metrics, and cents for the heartbeat function's 8,640 calls.",
            f"Not in the table is what a run publishes of itself for the dashboard: {RUN_METRICS} metrics where there "
            f"are GPUs, {hourly_metrics:.4f} USD for each hour of the run, and a request every {minutes_a_request:.0f} "
            f"minutes, {hourly_requests:.4f}. For {LONG_HOURS} hours that is "
            f"{LONG_HOURS * (hourly_metrics + hourly_requests):.3f}.",
            "A GPU instance costs as much in some seconds: what an attempt takes beside its simulation is worth more "
            "attention than anything in this table.",
        ),
    )


def add_hours(use: Use, record_bytes: int) -> Use:
    """Add what hours of training use."""
    seconds = LONG_HOURS * 3_600.0
    writes, elapsed = 0, 0.0
    while elapsed < seconds:
        elapsed += interval_seconds(elapsed)
        writes += 1
    beats = seconds / Environment.model_fields["heartbeat_seconds"].default
    return replace(
        use,
        write_units=use.write_units + writes * write_units(record_bytes),
        # The tokens, and the record that names their owner.
        read_units=use.read_units + beats * (1 + read_units(record_bytes)),
        # Each is uploaded, with a check before and after.
        s3_writes=use.s3_writes + LONG_CHECKPOINTS,
        s3_reads=use.s3_reads + 2 * LONG_CHECKPOINTS,
        log_bytes=use.log_bytes + LONG_ITERATIONS * LOG_BYTES_PER_ITERATION,
    )


def _by_function(invocations: Iterable[Invocation]) -> dict[str, list[Invocation]]:
    found: dict[str, list[Invocation]] = defaultdict(list)
    for one in invocations:
        found[one.function].append(one)
    return found


def _percentiles(values: Sequence[float]) -> tuple[str, str, str]:
    if not values:
        return ("-", "-", "-")
    ordered = sorted(values)
    last = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    return (f"{statistics.median(ordered):.2f}", f"{last:.2f}", f"{ordered[-1]:.2f}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
