"""`gaitway local`: the embedded AWS on this machine."""

import shlex
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gaitway.cli.exits import Exit, UsageProblemError
from gaitway.cli.target import DeploymentOption, choose_names, embedded_commands
from gaitway.local import launcher
from gaitway.local.cdk import DeployError
from gaitway.local.eks import EksStartError
from gaitway.local.launcher import LocalStatus
from gaitway.local.server_process import ServerStartError
from gaitway.local.slurm import SlurmStartError
from gaitway.names import DEFAULT_NAMES, Names

app = typer.Typer(help="The embedded AWS on this machine.", no_args_is_help=True)
_console = Console()
_errors = Console(stderr=True)


@app.command()
def up(
    deployment: DeploymentOption = None,
    wanted: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="BACKENDS",
            help=f"Back ends that it shall have, too, with commas or repeated: {', '.join(launcher.FURTHER)}. "
            "Later calls keep them.",
        ),
    ] = None,
) -> None:
    """Start the embedded AWS and deploy to it; harmless where it is up already. Other deployments in it stay."""
    names = choose_names(deployment)
    further = [name for given in wanted or () for name in map(str.strip, given.split(",")) if name]
    for name in further:
        if name not in launcher.FURTHER:
            raise UsageProblemError(f"--with holds {name!r}, allowed: {', '.join(launcher.FURTHER)}")
    try:
        with _console.status("Embedded AWS") as spinner:
            launcher.up(lambda line: spinner.update(f"Embedded AWS: {line}"), names, further)
    except (DeployError, EksStartError, ServerStartError, SlurmStartError) as error:
        _errors.print(f"The embedded AWS is not up. {error}", markup=False, style="red")
        raise typer.Exit(Exit.FAILED) from None
    _console.print(_table(launcher.status(names), names))


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    deployment: DeploymentOption = None,
) -> None:
    """Say what runs, where, and what is deployed."""
    names = choose_names(deployment)
    current = launcher.status(names)
    if as_json:
        typer.echo(current.model_dump_json(indent=2))
    else:
        _console.print(_table(current, names))


@app.command()
def env() -> None:
    """Print the exports with which any AWS client works: eval "$(gaitway local env)"."""
    current = launcher.status()
    if current.endpoint_url is None:
        _errors.print(f"The embedded AWS is not up: run `{embedded_commands(DEFAULT_NAMES).deploy}`.", style="red")
        raise typer.Exit(Exit.NOT_FOUND)
    for name, value in launcher.client_environment(current.endpoint_url).items():
        typer.echo(f"export {name}={shlex.quote(value)}")


@app.command()
def down() -> None:
    """Stop the embedded AWS and keep its state; harmless where it is not up."""
    _console.print("The embedded AWS is stopped." if launcher.down() else "The embedded AWS was not up.")


@app.command()
def reset() -> None:
    """Stop the embedded AWS and delete its state."""
    launcher.reset()
    _console.print("The embedded AWS is stopped, and its state deleted.")


def _table(current: LocalStatus, names: Names) -> Table:
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    # An ARN is shown in full, so that it can be copied.
    table.add_column(overflow="fold")
    table.add_row("embedded AWS", "[green]up[/green]" if current.running else "not up")
    table.add_row("state directory", str(current.state_directory))
    if current.endpoint_url:
        table.add_row("endpoint", current.endpoint_url)
        table.add_row("processes", ", ".join(map(str, current.process_ids)))
        table.add_row("memory", f"{current.memory_mib:.0f} MiB")
    if current.deployment:
        for name, value in current.deployment.model_dump(exclude_none=True).items():
            table.add_row(name.replace("_", " "), "\n".join(value) if isinstance(value, tuple) else value)
        if not current.is_current:
            table.add_row(
                "sources",
                f"[yellow]newer than what is deployed[/yellow]: `{embedded_commands(names).deploy}` deploys them",
            )
    return table
