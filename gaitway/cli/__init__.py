"""The `gaitway` command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from gaitway.cli import local
from gaitway.cli.demo import run_demo
from gaitway.contracts.errors import GaitwayError
from gaitway.deployment import NotDeployedError
from gaitway.local.cdk import DeployError
from gaitway.local.server_process import ServerStartError

app = typer.Typer(
    help="Train and evaluate robot policies with Isaac Lab on AWS, or on this machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(local.app, name="local")


@app.callback()
def _gaitway() -> None:
    """Keep `demo` a command of its own beside the groups."""


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the results go.")] = Path("outputs"),
) -> None:
    """Train a cart-pole policy on the embedded AWS, evaluate it, and fetch the results."""
    if not run_demo(Console(), output):
        raise typer.Exit(1)


def main() -> None:
    """Run the command; an error that users can act on is one sentence, without a traceback."""
    try:
        app()
    except (GaitwayError, DeployError, NotDeployedError, ServerStartError, BotoCoreError, ClientError) as error:
        Console(stderr=True).print(f"Error: {error}", style="red", markup=False, highlight=False)
        sys.exit(1)
