"""Following a run to its end, for every command that does so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from gaitway.cli.exits import Exit
from gaitway.cli.show import SHORT_ID, console, document_of, print_json
from gaitway.cli.watch import RunFailedError, watch
from gaitway.formatting import duration

if TYPE_CHECKING:
    from gaitway.cli.target import Target
    from gaitway.client.runs import FoundRun


def left_running(target: Target, run_id: str) -> typer.Exit:
    """Print what happens to a run after Ctrl-C, and return the end of the command."""
    console(stderr=True).print(
        f"The run continues. `{target.command(f'watch {run_id}')}` follows it again, "
        f"`{target.command(f'cancel {run_id}')}` ends it.",
        markup=False,
        soft_wrap=True,
    )
    return typer.Exit(Exit.INTERRUPTED)


def follow(target: Target, run: FoundRun, *, as_json: bool) -> None:
    """Show a run's progress until it ends, and then how it ended.

    Args:
        target: The deployment that it runs in.
        run: The run.
        as_json: Print its record at the end, and progress on stderr.

    Raises:
        RunFailedError: It failed.
        typer.Exit: The user pressed Ctrl-C.
    """
    try:
        watch(target.runs, run, run.run_id[:SHORT_ID], console(stderr=as_json))
    except KeyboardInterrupt:
        raise left_running(target, run.run_id) from None
    except RunFailedError as error:
        if as_json:
            print_json(document_of(target.runs.look_again(run).record))
        more = " and ".join(f"`{target.command(f'{verb} {run.run_id}')}`" for verb in ("logs", "results"))
        raise RunFailedError(f"{error} (details: {more})") from None
    record = target.runs.look_again(run).record
    if as_json:
        print_json(document_of(record))
        return
    took = f" after {duration((record.ended_at - record.created_at).total_seconds())}" if record.ended_at else ""
    console().print(f"{run.run_id} succeeded{took}. Next: `{target.command(f'results {run.run_id}')}`", soft_wrap=True)
