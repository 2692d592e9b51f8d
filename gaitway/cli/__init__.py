"""The `gaitway` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gaitway.cli import (
    acceptance,
    agent,
    assets,
    compare,
    doctor,
    generate,
    local,
    outputs,
    requests,
    runs,
    tensorboard,
    view,
)
from gaitway.cli.demo import run_demo
from gaitway.cli.exits import EXIT_CODES, HANDLED, Exit, explain, tell
from gaitway.cli.target import WHERE

app = typer.Typer(
    help="Train and evaluate robot policies with Isaac Lab on AWS, or on this machine.",
    epilog=f"{WHERE}\n\n{EXIT_CODES}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _gaitway() -> None:
    """Keep `demo` a separate command beside the groups."""


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the results go.")] = Path("outputs"),
    ant: Annotated[
        bool, typer.Option("--ant", help="Train a robot that walks instead: minutes, in Isaac Lab 3.0.")
    ] = False,
) -> None:
    """Train a cart-pole policy on the embedded AWS, evaluate it, and fetch the results."""
    if not run_demo(Console(), output, ant=ant):
        raise typer.Exit(Exit.FAILED)


for _command in (
    requests.validate,
    requests.submit,
    generate.generate,
    runs.watch,
    runs.ls,
    runs.show,
    outputs.logs,
    outputs.results,
    compare.compare,
    tensorboard.tensorboard,
    view.view,
    runs.cancel,
    doctor.doctor,
    acceptance.acceptance,
    agent.agent,
):
    app.command(epilog=EXIT_CODES)(_command)
app.add_typer(local.app, name="local")
app.add_typer(assets.app, name="assets")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a user's error is printed as one sentence, without a traceback.

    Args:
        arguments: The arguments after `gaitway`; None for the process's own.
    """
    try:
        app(arguments, prog_name="gaitway")
    except HANDLED as error:
        code, message = explain(error)
        tell(message)
        sys.exit(code)
