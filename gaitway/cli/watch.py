"""Following a run in the terminal: one live line while it goes, one line per step once it is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from gaitway.contracts.errors import GaitwayError
from gaitway.contracts.run import RunState
from gaitway.instances.prices import LOCAL

if TYPE_CHECKING:
    from rich.console import Console

    from gaitway.client.runs import FoundRun, Runs, StartedRun
    from gaitway.contracts.history import Machine
    from gaitway.contracts.run import Progress as RunProgress
    from gaitway.contracts.run import RunRecord
    from gaitway.contracts.simulation import RanWith

POLL_SECONDS = 0.5
PLAIN_LINE_SECONDS = 5.0


class RunFailedError(GaitwayError):
    """The run that was watched failed; the message is what its caller received."""


@dataclass(frozen=True)
class WatchedRun:
    """How a watched run went."""

    record: RunRecord
    seconds: float
    """From StartExecution until the caller received the end."""
    seconds_to_first_progress: float | None
    """From StartExecution until the first iteration (or episode) was seen."""


def watch(runs: Runs, run: StartedRun | FoundRun, label: str, console: Console) -> WatchedRun:
    """Follow a run until its caller has received its end.

    Raises:
        RunFailedError: The run failed, for the reason in the message.
    """
    started = time.monotonic()
    first_progress: float | None = None
    remarks: list[str] = []
    with live(label, console) as show:
        while True:
            view = runs.caller_view(run)
            record = runs.record(run.run_id)
            if record is not None:
                if record.progress is not None and record.progress.done > 0 and first_progress is None:
                    first_progress = time.monotonic() - started
                for remark in record.remarks[len(remarks) :]:
                    console.print(f"{label}: {remark}", markup=False, soft_wrap=True)
                remarks = record.remarks
                show(record)
            if view.ended:
                break
            time.sleep(POLL_SECONDS)
    if view.failure is not None:
        raise RunFailedError(f"{label} failed: {view.failure.error}: {view.failure.cause}")
    if record is None:
        raise RunFailedError(f"{label}: the workflow ended, but the run table has no record of {run.run_id}")
    return WatchedRun(record, time.monotonic() - started, first_progress)


@contextmanager
def live(label: str, console: Console) -> Iterator[Callable[[RunRecord], None]]:
    """Show a live line on a terminal, and plain lines elsewhere."""
    if not console.is_terminal:
        yield _PlainLines(label, console).show
        return
    columns = (SpinnerColumn(), TextColumn("[bold]{task.description}"), BarColumn(bar_width=12), _FiguresColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"{label}: starting", total=None, figures="")

        def show(record: RunRecord) -> None:
            run = record.progress
            progress.update(
                task,
                description=f"{label}: {describe_state(record)}",
                total=run.total if run else None,
                completed=run.done if run else 0,
                figures=describe_run(record),
            )

        yield show


class _FiguresColumn(ProgressColumn):
    """Progress, cost and machine; the time passed, until there are any."""

    def render(self, task: Task) -> Text:
        """Write the figures of the task's run."""
        figures: str = task.fields["figures"]
        return Text(figures or f"{task.elapsed or 0:.0f} s", no_wrap=True, overflow="ellipsis")


def describe_state(record: RunRecord) -> str:
    """Return a run's phase or state in one word."""
    return record.phase if record.phase and record.state is RunState.RUNNING else str(record.state)


def describe_progress(run: RunProgress) -> str:
    """Write a run's progress in one line."""
    figures = [f"{run.done}/{run.total}"]
    if run.steps_per_second is not None:
        figures.append(f"{run.steps_per_second / 1000:,.1f}k steps/s")
    if run.mean_reward is not None:
        figures.append(f"reward {run.mean_reward:.1f}")
    if run.eta_seconds is not None and run.done < run.total:
        figures.append(f"{run.eta_seconds:.0f} s left")
    return " · ".join(figures)


def describe_run(record: RunRecord) -> str:
    """Write how a run goes in one line: its progress, what it has cost, its attempt and its machine.

    A developer's machine that costs nothing goes without saying.
    """
    figures = [describe_progress(record.progress)] if record.progress else []
    has_limit = record.spec is not None and record.spec.compute.max_cost_usd is not None
    if record.cost is not None and (record.cost.usd > 0 or has_limit):
        figures.append(describe_cost(record) or "")
    if record.attempts is not None and record.attempts > 1:
        figures.append(f"attempt {record.attempts}")
    if record.machine is not None and record.machine.instance_type != LOCAL:
        figures.append(describe_machine(record.machine))
    return " · ".join(figures)


def describe_cost(record: RunRecord) -> str | None:
    """Write a run's cost and its limit; None if the cost is not known."""
    if record.cost is None:
        return None
    limit = record.spec.compute.max_cost_usd if record.spec else None
    return f"{record.cost.usd:.2f} USD" if limit is None else f"{record.cost.usd:.2f} of {limit:.2f} USD"


def describe_ran_with(ran_with: RanWith) -> str:
    """Write what a simulation ran with: the simulator, versions and device."""
    versions = ", ".join(f"{name} {version}" for name, version in ran_with.versions.items())
    return f"{ran_with.simulator} on {ran_with.device}: {versions}"


def describe_machine(machine: Machine) -> str:
    """Write what a run runs on."""
    nodes = f"{machine.nodes} x " if machine.nodes > 1 else ""
    share = f"{machine.share:.0%} of " if machine.share < 1 else ""
    return f"{nodes}{share}{machine.instance_type}{' (Spot)' if machine.purchase == 'spot' else ''}"


def describe_price(machine: Machine) -> str | None:
    """Write what the cost is computed from; None if no price is known, or it costs nothing."""
    if machine.usd_per_hour is None or machine.price_as_of is None:
        return None
    source = "instancePrices" if machine.price_as_of == "setting" else f"list price of {machine.price_as_of}"
    share = f", of which the run has {machine.share:.0%}" if machine.share < 1 else ""
    return f"{machine.usd_per_hour:.4g} USD an hour of {machine.instance_type}{share} ({source})"


class _PlainLines:
    """Lines for a log file or CI, where no live line can be drawn: every change of state, and progress now and then."""

    def __init__(self, label: str, console: Console) -> None:
        self._label = label
        self._console = console
        self._state = ""
        self._next_line_at = 0.0

    def show(self, record: RunRecord) -> None:
        state = describe_state(record)
        if state == self._state and time.monotonic() < self._next_line_at:
            return
        self._state = state
        self._next_line_at = time.monotonic() + PLAIN_LINE_SECONDS
        figures = describe_run(record)
        self._console.print(f"{self._label}: {state}{f' · {figures}' if figures else ''}", highlight=False)
