"""`gaitway ls`, `show`, `watch` and `cancel`: existing runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from gaitway.cli.follow import follow
from gaitway.cli.show import console, document_of, list_table, print_json, run_table
from gaitway.cli.target import DeploymentOption, JsonOption, LocalOption, ProfileOption, RegionOption, Target, choose
from gaitway.cli.watch import RunFailedError
from gaitway.contracts.run import RunState

if TYPE_CHECKING:
    from gaitway.client.runs import FoundRun

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="Id of the run, or its beginning, with or without run-.")
]

_CANCEL_SECONDS = 300.0
_PATIENCE_SECONDS = 30.0
"""After this time the inner execution is also stopped, because an event about the outer one may be lost."""
_POLL_SECONDS = 0.5


def ls(
    state: Annotated[list[RunState] | None, typer.Option("--state", "-s", help="Only these; may be repeated.")] = None,
    group: Annotated[str | None, typer.Option("--group", "-g", help="Only the runs of this group.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many, the newest first.")] = 20,
    as_json: JsonOption = False,
    local: LocalOption = False,
    profile: ProfileOption = None,
    region: RegionOption = None,
    deployment: DeploymentOption = None,
) -> None:
    """List the newest runs."""
    target = choose(local, profile, region, deployment)
    records = target.runs.newest(limit, state or (), group)
    if as_json:
        print_json([document_of(record) for record in records])
    elif records:
        console().print(list_table(records))
    else:
        console(stderr=True).print(
            f"There are no such runs yet. Next: `{target.command('submit FILE')}`",
            markup=False,
            soft_wrap=True,
        )


def show(
    run: RunArgument,
    as_json: JsonOption = False,
    local: LocalOption = False,
    profile: ProfileOption = None,
    region: RegionOption = None,
    deployment: DeploymentOption = None,
) -> None:
    """Show everything that is known about a run."""
    record = choose(local, profile, region, deployment).runs.find(run).record
    if as_json:
        print_json(document_of(record))
    else:
        console().print(run_table(record))


def watch(
    run: RunArgument,
    as_json: JsonOption = False,
    local: LocalOption = False,
    profile: ProfileOption = None,
    region: RegionOption = None,
    deployment: DeploymentOption = None,
) -> None:
    """Follow a run to its end; Ctrl-C leaves it running. With --json, progress goes to stderr."""
    target = choose(local, profile, region, deployment)
    follow(target, target.runs.find(run), as_json=as_json)


def cancel(
    run: RunArgument,
    as_json: JsonOption = False,
    local: LocalOption = False,
    profile: ProfileOption = None,
    region: RegionOption = None,
    deployment: DeploymentOption = None,
) -> None:
    """Cancel a run and wait until it has ended; what it trained is kept. A run that has ended is not changed."""
    target = choose(local, profile, region, deployment)
    found = target.runs.find(run)
    had_ended = found.record.state.ended
    if not had_ended:
        target.runs.cancel(found)
        with console(stderr=True).status(f"Ending {found.run_id}"):
            found = _ended(target, found)
    record = found.record
    if as_json:
        print_json(document_of(record))
    elif had_ended:
        console().print(f"{record.run_id} had ended already: {record.state}")
    elif record.state is RunState.SUCCEEDED:
        console().print(f"{record.run_id} succeeded before it could be cancelled")
    else:
        console().print(
            f"Cancelled {record.run_id}. Next: `{target.command(f'results {record.run_id}')}` fetches its files",
            soft_wrap=True,
        )


def _ended(target: Target, run: FoundRun) -> FoundRun:
    began = time.monotonic()
    stopped_within = False
    while True:
        run = target.runs.look_again(run)
        if run.record.state.ended:
            return run
        waited = time.monotonic() - began
        if waited > _PATIENCE_SECONDS and not stopped_within:
            target.runs.stop_execution(run)
            stopped_within = True
        if waited > _CANCEL_SECONDS:
            raise RunFailedError(
                f"{run.run_id} was asked to end {_CANCEL_SECONDS:.0f} s ago and has not: "
                f"`{target.command(f'show {run.run_id}')}` shows its state, and `cancel` may be repeated"
            )
        time.sleep(_POLL_SECONDS)
