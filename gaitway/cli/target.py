"""Where a command goes: the embedded AWS of this machine, or an account."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import boto3
import botocore.session
import typer
from botocore.config import Config
from rich.console import Console

from gaitway.cli.exits import NotUpError, UsageProblemError
from gaitway.client.deployment import Deployment, NotDeployedError, read_deployment
from gaitway.client.runs import Runs
from gaitway.commands import Commands
from gaitway.local.launcher import LocalSession, default_state_directory
from gaitway.local.server_process import running_server
from gaitway.names import DEFAULT_DEPLOYMENT, Names, check_deployment_name

DEPLOYMENT_VARIABLE = "GAITWAY_DEPLOYMENT"
"""Environment variable with the name of a deployment: the setting deploymentName."""

LocalOption = Annotated[
    bool, typer.Option("--local", help="Use the embedded AWS of this machine.", rich_help_panel="Where")
]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", help="Use an account: AWS profile.", rich_help_panel="Where")
]
RegionOption = Annotated[
    str | None, typer.Option("--region", help="Use an account: AWS region.", rich_help_panel="Where")
]
DeploymentOption = Annotated[
    str | None,
    typer.Option("--deployment", help="Use this deployment; else that of GAITWAY_DEPLOYMENT.", rich_help_panel="Where"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else, on stdout.")]

WHERE = (
    "Where a command goes: --local is the embedded AWS of this machine, --profile and --region an account. With none "
    "of them it is the embedded AWS if that is up and the environment names no credentials (AWS_PROFILE, "
    "AWS_ACCESS_KEY_ID, ...), else the account. The command prints on stderr which one it uses. If there are several "
    f"deployments, --deployment or {DEPLOYMENT_VARIABLE} selects one; else it is {DEFAULT_DEPLOYMENT}."
)

_ACCOUNT_VARIABLES = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""If one of these is set, the user means an account."""

_CLIENTS = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 3})
"""A person waits: no network is said within half a minute."""


@dataclass(frozen=True)
class Place:
    """The embedded AWS or an account, whatever was deployed there."""

    name: str
    session: boto3.Session
    commands: Commands
    """Writes commands that go there again, and to the deployment that is meant there."""


@dataclass(frozen=True)
class Target:
    """A deployment to work with."""

    name: str
    """The suggested commands of the target."""
    session: boto3.Session
    deployment: Deployment
    commands: Commands
    """Writes commands that go to the deployment again."""

    @cached_property
    def runs(self) -> Runs:
        """Its runs."""
        return Runs(self.session, self.deployment, self.commands)

    def command(self, text: str) -> str:
        """Write a command of ours for the same deployment."""
        return self.commands.gaitway(text)


def choose(local: bool, profile: str | None, region: str | None, deployment: str | None = None) -> Target:
    """Find the deployment that the options mean, and say on stderr which one that is.

    Raises:
        UsageProblemError: The options contradict each other.
        NotUpError: The embedded AWS is wanted, and not up or without a deployment.
        NotDeployedError: The account has no deployment there.
    """
    place = choose_place(local, profile, region, deployment)
    try:
        found = read_deployment(place.session.client("cloudformation"), place.commands)
        return Target(place.name, place.session, found, place.commands)
    except NotDeployedError as error:
        if isinstance(place.session, LocalSession):
            raise NotUpError(
                f"the embedded AWS is up, but holds no complete deployment {place.commands.names.deployment}: "
                f"run `{place.commands.deploy}`"
            ) from error
        hint = ", or --local for the embedded AWS, which is up" if embedded_endpoint() else ""
        raise NotDeployedError(
            f"{place.name}: {error}, or give another --profile, --region or --deployment{hint}"
        ) from error


def choose_place(local: bool, profile: str | None, region: str | None, deployment: str | None = None) -> Place:
    """Find what the options mean, and say on stderr what that is.

    Raises:
        UsageProblemError: The options contradict each other.
        NotUpError: The embedded AWS is wanted, and not up.
    """
    if local and (profile or region):
        given = "--profile" if profile else "--region"
        raise UsageProblemError(f"--local and {given} mean different places: give one of them")
    names = choose_names(deployment)
    endpoint_url = embedded_endpoint()
    if local or (endpoint_url and not profile and not region and not _environment_means_an_account()):
        return _embedded(endpoint_url, names)
    return _account(profile, region, names)


def choose_names(deployment: str | None) -> Names:
    """Find the names of the deployment that an option or the environment selects.

    Raises:
        UsageProblemError: The name is not allowed for a deployment.
    """
    given = deployment or os.environ.get(DEPLOYMENT_VARIABLE) or DEFAULT_DEPLOYMENT
    try:
        return Names(check_deployment_name(given))
    except ValueError as error:
        source = "--deployment" if deployment else DEPLOYMENT_VARIABLE
        raise UsageProblemError(f"{source} is {given!r}, but {error}") from None


def embedded_commands(names: Names) -> Commands:
    """Write commands that go to a deployment in the embedded AWS."""
    return Commands(names, is_embedded=True, has_other_default=_has_other_default())


def embedded_endpoint() -> str | None:
    """Return the address of the embedded AWS; None where it is not up."""
    record = running_server(default_state_directory())
    return record.endpoint_url if record else None


def _embedded(endpoint_url: str | None, names: Names) -> Place:
    commands = embedded_commands(names)
    if endpoint_url is None:
        raise NotUpError(f"the embedded AWS is not up: run `{commands.deploy}`")
    return _said(Place(f"embedded AWS at {endpoint_url}", LocalSession(endpoint_url), commands))


def _account(profile: str | None, region: str | None, names: Names) -> Place:
    botocore_session = botocore.session.Session(profile=profile)
    botocore_session.set_default_client_config(_CLIENTS)
    # botocore reads AWS_DEFAULT_REGION only, every other SDK AWS_REGION.
    session = boto3.Session(botocore_session=botocore_session, region_name=region or os.environ.get("AWS_REGION"))
    place = f"AWS account of profile {session.profile_name} in {session.region_name or 'no region'}"
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        place += f", at {endpoint} (AWS_ENDPOINT_URL)"
    return _said(Place(place, session, Commands(names, profile, region, has_other_default=_has_other_default())))


def _has_other_default() -> bool:
    """Return whether the environment selects a deployment for commands without the option."""
    return bool(os.environ.get(DEPLOYMENT_VARIABLE))


def _environment_means_an_account() -> bool:
    return any(os.environ.get(name) for name in _ACCOUNT_VARIABLES)


def _said(place: Place) -> Place:
    which = "" if place.commands.names.is_default else f", deployment {place.commands.names.deployment}"
    Console(stderr=True).print(
        f"Using the {place.name}{which}", style="dim", markup=False, highlight=False, soft_wrap=True
    )
    return place
