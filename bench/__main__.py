"""`python -m bench`: measure everything, and write docs/benchmarks.md.

With `--quick` it only shows that everything runs, in some minutes; the page then goes to build/benchmarks-quick.md.
Exit code 1: a measurement failed, or a goal was missed.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import checkpoint_upload, metrics_export, recovery, scaling, training_speed
from bench.context import Context
from bench.machine import QUIET_LOAD, describe_commit, describe_machine, describe_versions
from bench.measurement import FailedMeasurement, Measurement
from bench.pipeline import deployed_pipeline
from bench.report import Conditions, missed_goals, write_page
from bench.size import FULL, QUICK, SEED
from gaitway.installation import REPOSITORY_ROOT

PAGE = REPOSITORY_ROOT / "docs" / "benchmarks.md"
QUICK_PAGE = REPOSITORY_ROOT / "build" / "benchmarks-quick.md"

MEASUREMENTS: tuple[tuple[str, Callable[[Context], Measurement]], ...] = (
    (training_speed.TITLE, training_speed.measure),
    (recovery.TITLE, recovery.measure),
    (scaling.TITLE, scaling.measure),
    (metrics_export.TITLE, metrics_export.measure),
    (checkpoint_upload.TITLE, checkpoint_upload.measure),
)


def main(arguments: list[str]) -> int:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only show that all of it runs")
    # The embedded AWS is a separate process, which must be ended.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    quick: bool = parser.parse_args(arguments).quick
    console = Console()
    began_at, load_before = datetime.now(UTC), os.getloadavg()[0]
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="gaitway-bench-") as scratch,
        _progress(console) as progress,
        deployed_pipeline(Path(scratch)) as pipeline,
    ):
        context = Context(QUICK if quick else FULL, pipeline, Path(scratch), progress)
        results = [_measured(title, measure, context) for title, measure in MEASUREMENTS]
    conditions = Conditions(
        began_at=began_at,
        minutes=(time.monotonic() - began) / 60,
        command="python -m bench --quick" if quick else "make bench",
        commit=describe_commit(),
        seed=SEED,
        machine=describe_machine(),
        versions=describe_versions(),
        load_before=load_before,
        is_quiet=load_before <= QUIET_LOAD,
    )
    page = QUICK_PAGE if quick else PAGE
    page.parent.mkdir(exist_ok=True)
    page.write_text(write_page(conditions, results))
    console.print(f"{page.relative_to(REPOSITORY_ROOT)} written, after {conditions.minutes:.0f} minutes")
    for goal in missed_goals(results):
        console.print(f"[red]missed[/red]: {goal.words}", highlight=False)
    return 1 if missed_goals(results) or any(isinstance(one, FailedMeasurement) for one in results) else 0


def _measured(
    title: str, measure: Callable[[Context], Measurement], context: Context
) -> Measurement | FailedMeasurement:
    """Measure; if one measurement fails, the others go on."""
    began = time.monotonic()
    try:
        result = measure(context)
    except Exception as error:
        context.progress.console.print_exception()
        return FailedMeasurement(title, f"{type(error).__name__}: {error}")
    context.progress.console.print(f"{title}: {time.monotonic() - began:.0f} s", highlight=False)
    return result


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
