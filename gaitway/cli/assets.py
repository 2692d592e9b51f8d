"""`gaitway assets`: the robots and grounds of Isaac Lab 3's tasks, in a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from gaitway.cli.exits import EXIT_CODES, Exit
from gaitway.local import isaaclab3

app = typer.Typer(help="Robots and grounds of Isaac Lab 3's tasks.", no_args_is_help=True)


@app.callback()
def _assets() -> None:
    """Keep `pull` a command of its own."""


@app.command(epilog=EXIT_CODES)
def pull(
    tasks: Annotated[list[str], typer.Argument(metavar="TASK...", help="Tasks, by their names in Isaac Lab 3.0.")],
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="FOLDER", help="Where to; else where the embedded AWS looks for them."),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="ADDRESS", help="A mirror, instead of NVIDIA's public bucket.")
    ] = None,
) -> None:
    """Fetch the USD files that tasks name, and what those refer to; what is there already stays."""
    # By a process with Isaac Lab on its path: only it knows what a task names.
    variables = os.environ | isaaclab3.variables()
    if into is not None:
        variables["ISAACSIM_ASSET_ROOT"] = str(into)
    if source is not None:
        variables["GAITWAY_ASSET_SOURCE"] = source
    command = [sys.executable, "-m", "gaitway.simulators.isaaclab3.assets.pull", *tasks]
    ended = subprocess.run(command, env=variables, capture_output=True, text=True)
    typer.echo(ended.stdout, nl=False)
    if ended.returncode:
        [*_, reason] = ended.stderr.splitlines() or [f"the process ended with {ended.returncode}"]
        typer.echo(f"Error: {reason}", err=True)
        raise typer.Exit(Exit.FAILED)
