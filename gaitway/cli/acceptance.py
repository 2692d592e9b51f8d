"""`gaitway acceptance`: whether a deployment does what it promises."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from gaitway.cli.exits import HANDLED, Exit, UsageProblemError, explain
from gaitway.cli.show import console, print_json
from gaitway.cli.target import DeploymentOption, JsonOption, LocalOption, ProfileOption, RegionOption, Target, choose
from gaitway.cli.watch import live
from gaitway.formatting import dollars, duration
from gaitway.local.launcher import LocalSession
from gaitway.version import checkout_version

if TYPE_CHECKING:
    from rich.console import Console

    from gaitway.acceptance.plan import Planned
    from gaitway.acceptance.record import AcceptanceRecord, CheckRecord
    from gaitway.contracts.run import RunRecord

_STYLES = {"passed": "green", "failed": "red", "not run": "yellow", "not here": "dim"}


def acceptance(
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Only this check and what it needs; repeatable.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option("--budget", metavar="USD", min=0, help="Start no check that would exceed this.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Begin without asking.")] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The page; a JSON file is written beside it.")
    ] = Path("acceptance.html"),
    fis_role: Annotated[
        str | None,
        typer.Option("--fis-role", metavar="ARN", help="Role with which FIS interrupts a Spot instance."),
    ] = None,
    as_json: JsonOption = False,
    local: LocalOption = False,
    profile: ProfileOption = None,
    region: RegionOption = None,
    deployment: DeploymentOption = None,
) -> None:
    """Check a deployment by using it: trainings, an interruption, a stop, several nodes, alarms; with their costs."""
    # Templates and checks take time to import, for which the other commands need not wait.
    from gaitway.acceptance.checks import CHECKS
    from gaitway.acceptance.page import render_acceptance
    from gaitway.acceptance.plan import UnknownCheckError, plan
    from gaitway.acceptance.prices import read_prices
    from gaitway.acceptance.runner import Acceptance
    from gaitway.acceptance.site import Site

    target = choose(local, profile, region, deployment)
    out = console(stderr=as_json)
    is_embedded = isinstance(target.session, LocalSession)
    with tempfile.TemporaryDirectory(prefix="gaitway-acceptance-") as directory:
        site = Site(
            target.session, target.deployment, is_embedded, Terminal(out), Path(directory), fis_role, target.commands
        )
        try:
            planned = plan(CHECKS, only or (), read_prices(site), site.backends, is_embedded=is_embedded)
        except UnknownCheckError as error:
            raise UsageProblemError(f"--only: {error}") from error
        record = _before(target, planned, budget)
        out.print(plan_table(planned))
        out.print(_sum(record, planned), soft_wrap=True)
        if not yes:
            _ask()

        def save(written: AcceptanceRecord) -> None:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(render_acceptance(written), encoding="utf-8")
            json_file = output.with_suffix(".json")
            json_file.write_text(written.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")

        record = Acceptance(site, planned, record, Lines(out, len(planned)), HANDLED, _words, save).run()
    if as_json:
        print_json(record.model_dump(mode="json", by_alias=True))
    out.print(f"{output} and {output.with_suffix('.json').name} say what was seen; open the page in a browser")
    if record.is_interrupted:
        raise typer.Exit(Exit.INTERRUPTED)
    if not record.has_passed:
        raise typer.Exit(Exit.FAILED)


def _before(target: Target, planned: Sequence[Planned], budget: float | None) -> AcceptanceRecord:
    """Write down what is known before the first check."""
    from gaitway.acceptance.record import AcceptanceRecord

    return AcceptanceRecord(
        place=target.name,
        account=target.session.client("sts").get_caller_identity()["Account"],
        region=target.session.region_name or "",
        deployed_version=target.deployment.gaitway_version,
        version=checkout_version(),
        began_at=datetime.now(UTC),
        budget_usd=budget,
        estimated_usd=sum(one.estimated_usd for one in planned),
        cost_usd=0.0,
        checks=[],
    )


def _words(error: BaseException) -> str:
    return explain(error)[1]


def plan_table(planned: Sequence[Planned]) -> Table:
    """Print what each check will cost and leave behind."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("CHECK", no_wrap=True)
    table.add_column("WHAT")
    table.add_column("TIME", justify="right", no_wrap=True)
    table.add_column("COST", justify="right", no_wrap=True)
    table.add_column("LEAVES")
    for one in planned:
        if one.not_here is not None:
            table.add_row(one.check.name, one.check.title, "", "", f"not here: {one.not_here}", style="dim")
        else:
            leaves = one.check.leaves
            table.add_row(one.check.name, one.check.title, _minutes(one.minutes), dollars(one.estimated_usd), leaves)
    return table


def _sum(record: AcceptanceRecord, planned: Sequence[Planned]) -> str:
    count = sum(one.not_here is None for one in planned)
    minutes = _minutes(sum(one.minutes for one in planned))
    budget = f", of a budget of {dollars(record.budget_usd)}" if record.budget_usd is not None else ""
    return (
        f"{count} check{'s' if count != 1 else ''} in account {record.account}, {record.region}: about {minutes} and "
        f"{dollars(record.estimated_usd)} for machines{budget}."
    )


def _minutes(minutes: float) -> str:
    return duration(60 * minutes) if minutes < 2 else f"{minutes:.0f} min"


def _ask() -> None:
    if not sys.stdin.isatty():
        raise UsageProblemError("the command cannot ask whether to start, since stdin is not a terminal: pass --yes")
    if not typer.confirm("Begin?", err=True):
        raise typer.Exit(Exit.INTERRUPTED)


class Terminal:
    """Shows runs and waiting in the terminal."""

    def __init__(self, out: Console) -> None:
        self._out = out

    def following(self, label: str) -> AbstractContextManager[Callable[[RunRecord], None]]:
        """Show a run's live line."""
        return live(label, self._out)

    @contextmanager
    def waiting(self, text: str) -> Iterator[object]:
        """Show the current step; without a terminal, in a new line."""
        if not self._out.is_terminal:
            self._out.print(text, highlight=False, soft_wrap=True)
            yield None
            return
        with self._out.status(text):
            yield None


class Lines:
    """Writes a line before and after each check."""

    def __init__(self, out: Console, count: int) -> None:
        self._out = out
        self._count = count

    def begins(self, number: int, planned: Planned) -> None:
        """Say what is going to happen."""
        self._out.print(
            Text.assemble(
                (f"[{number}/{self._count}] ", "dim"),
                (planned.check.title, "bold"),
                (f"  about {_minutes(planned.minutes)}, {dollars(planned.estimated_usd)}", "dim"),
                (f"; leaves {planned.check.leaves}", "dim"),
            ),
            soft_wrap=True,
        )

    def ended(self, number: int, check: CheckRecord) -> None:
        """Print the outcome of a check."""
        if check.began_at is None:
            head: tuple[str, str] = (f"[{number}/{self._count}] ", "dim")
            title = f"{check.title}: "
        else:
            head, title = (" " * len(f"[{number}/{self._count}] "), ""), ""
        figures = "" if check.seconds is None else f" after {duration(check.seconds)}"
        if check.cost_usd:
            figures += f", {dollars(check.cost_usd)}"
        reason = f": {check.reason}" if check.reason else ""
        status = check.status.value
        self._out.print(Text.assemble(head, title, (status, _STYLES[status]), figures, reason), soft_wrap=True)
