"""`gaitway agent`: the agent of a cluster, beside its scheduler."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from gaitway.agent.schedulers import SCHEDULERS
from gaitway.agent.start import read_parameter, start
from gaitway.cli.exits import UsageProblemError
from gaitway.cli.target import DeploymentOption, choose_names
from gaitway.contracts.cluster import AgentConfig


def agent(
    scheduler: Annotated[str, typer.Option("--scheduler", help=f"The cluster's: {', '.join(SCHEDULERS)}.")],
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="A file with the agent's configuration, for a cluster whose nodes differ from it; else the one that "
            "the deployment keeps in Systems Manager.",
        ),
    ] = None,
    deployment: DeploymentOption = None,
) -> None:
    """Submit the jobs that a deployment orders for this cluster, and report what becomes of them.

    It runs on a machine of the cluster until it is stopped, with the credentials of that machine, and keeps nothing: it
    may be restarted at any time.
    """
    kind = SCHEDULERS.get(scheduler)
    if kind is None:
        raise UsageProblemError(f"--scheduler is {scheduler!r}, allowed: {', '.join(SCHEDULERS)}")
    parameter = choose_names(deployment).agent_parameter(kind.backend)
    text = config.read_text(encoding="utf-8") if config is not None else read_parameter(parameter)
    try:
        told = AgentConfig.read(text)
    except ValidationError as error:
        raise UsageProblemError(f"{config or parameter} is no configuration of an agent: {error}") from error
    start(kind, told)
