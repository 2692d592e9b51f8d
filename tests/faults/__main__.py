"""The campaign's command line: `python -m tests.faults --seed 1 --only NAME`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console

from tests.faults import scenarios
from tests.faults.campaign import Outcome, go_through, tasks
from tests.faults.report import markdown, print_table, write
from tests.faults.world import open_world


def main() -> int:
    """Run the faults that the command line selects."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=scenarios.__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--rounds", type=int, default=1, help="how often each is gone through, with seeds that count up"
    )
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--parallel", type=int, default=10, help="how many at a time: most of them mostly wait")
    parser.add_argument("--speedup", type=float, default=30.0, help="of heartbeats, allowances and schedules")
    parser.add_argument("--write", type=Path, help="a page that holds the table between its markers")
    parser.add_argument("--keep", type=Path, help="a directory that stays, with the state of everything")
    options = parser.parse_args()
    console = Console()

    def tell(outcome: Outcome) -> None:
        told = "" if outcome.told_seconds is None else f", told after {outcome.told_seconds:.1f} s"
        mark = "[red]WRONG[/red]" if outcome.violations else "right"
        console.print(
            f"{mark} {outcome.scenario.name} {outcome.mode} seed {outcome.seed}: {outcome.expected}{told}, "
            f"{outcome.seconds:.0f} s ({outcome.details})",
            highlight=False,
            soft_wrap=True,
        )
        for violation in outcome.violations:
            console.print(f"      {violation}", markup=False, highlight=False, soft_wrap=True)

    def stop(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    # It cleans up, however it is ended.
    signal.signal(signal.SIGTERM, stop)
    faults = tasks(options.seed, options.rounds, options.only)
    for sentence in sorted({missing for task in faults if (missing := task.scenario.why_missing()) is not None}):
        console.print(f"left out: {sentence}", highlight=False, soft_wrap=True)
    faults = [task for task in faults if task.scenario.why_missing() is None]
    with tempfile.TemporaryDirectory(prefix="gaitway-faults-") as temporary:
        directory = options.keep or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with open_world(directory, options.speedup) as world:
            console.print(f"deployed in {time.monotonic() - began:.0f} s; seed {options.seed}, {len(faults)} faults")
            outcomes = go_through(world, faults, options.parallel, tell)
    print_table(console, outcomes)
    seconds = time.monotonic() - began
    wrong = sum(bool(outcome.violations) for outcome in outcomes)
    console.print(f"{len(outcomes) - wrong} of {len(outcomes)} right, {seconds:.0f} s")
    if options.write:
        write(options.write, _page(outcomes, options.seed, seconds))
    return 1 if wrong else 0


def _page(outcomes: Sequence[Outcome], seed: int, seconds: float) -> str:
    right = sum(not outcome.violations for outcome in outcomes)
    begun = (
        f"{len(outcomes)} faults from seed {seed} on, {right} of them right, in {seconds / 60:.0f} minutes on "
        f"{os.cpu_count()} cores."
    )
    return f"{begun}\n\n{markdown(outcomes)}"


if __name__ == "__main__":
    sys.exit(main())
