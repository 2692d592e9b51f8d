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
from gaitway.deployment import Deployment, NotDeployedError, read_deployment
from gaitway.local.launcher import LocalSession, default_launcher
from gaitway.local.server_process import running_server
from gaitway.runs import Runs

LocalOption = Annotated[
    bool, typer.Option("--local", help="Use the embedded AWS of this machine.", rich_help_panel="Where")
]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", help="Use an account: AWS profile.", rich_help_panel="Where")
]
RegionOption = Annotated[
    str | None, typer.Option("--region", help="Use an account: AWS region.", rich_help_panel="Where")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else, on stdout.")]

WHERE = (
    "Where a command goes: --local is the embedded AWS of this machine, --profile and --region an account. With none "
    "of them it is the embedded AWS if that is up and the environment names no credentials (AWS_PROFILE, "
    "AWS_ACCESS_KEY_ID, ...), else the account. Which one was used stands on stderr."
)

_ACCOUNT_VARIABLES = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Who sets one of these means an account."""

_CLIENTS = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 3})
"""A person waits: no network is said within half a minute."""


@dataclass(frozen=True)
class Place:
    """The embedded AWS or an account, whatever was deployed there."""

    name: str
    session: boto3.Session
    options: str
    """The options that lead there again, for commands that are suggested."""


@dataclass(frozen=True)
class Target:
    """A deployment to work with."""

    session: boto3.Session
    deployment: Deployment
    options: str
    """The options that lead there again, for commands that are suggested."""

    @cached_property
    def runs(self) -> Runs:
        """Its runs."""
        return Runs(self.session, self.deployment)

    def command(self, text: str) -> str:
        """Write a command that goes to the same place."""
        return f"gaitway {text}{self.options}"


def choose(local: bool, profile: str | None, region: str | None) -> Target:
    """Find the deployment that the options mean, and say on stderr which one that is.

    Raises:
        UsageProblemError: The options contradict each other.
        NotUpError: The embedded AWS is wanted, and not up or without a deployment.
        NotDeployedError: The account has no deployment there.
    """
    place = choose_place(local, profile, region)
    try:
        return Target(place.session, read_deployment(place.session.client("cloudformation")), place.options)
    except NotDeployedError as error:
        if isinstance(place.session, LocalSession):
            raise NotUpError(
                "the embedded AWS is up, but holds no complete deployment: run `gaitway local up`"
            ) from error
        hint = ", or --local for the embedded AWS, which is up" if embedded_endpoint() else ""
        raise NotDeployedError(f"{place.name}: {error}, or give another --profile or --region{hint}") from error


def choose_place(local: bool, profile: str | None, region: str | None) -> Place:
    """Find what the options mean, and say on stderr what that is.

    Raises:
        UsageProblemError: The options contradict each other.
        NotUpError: The embedded AWS is wanted, and not up.
    """
    if local and (profile or region):
        given = "--profile" if profile else "--region"
        raise UsageProblemError(f"--local and {given} mean different places: give one of them")
    endpoint_url = embedded_endpoint()
    if local or (endpoint_url and not profile and not region and not _environment_means_an_account()):
        return _embedded(endpoint_url)
    return _account(profile, region)


def embedded_endpoint() -> str | None:
    """Return the address of the embedded AWS; None where it is not up."""
    record = running_server(default_launcher().state_directory)
    return record.endpoint_url if record else None


def _embedded(endpoint_url: str | None) -> Place:
    if endpoint_url is None:
        raise NotUpError("the embedded AWS is not up: run `gaitway local up`")
    return _said(Place(f"embedded AWS at {endpoint_url}", LocalSession(endpoint_url), " --local"))


def _account(profile: str | None, region: str | None) -> Place:
    botocore_session = botocore.session.Session(profile=profile)
    botocore_session.set_default_client_config(_CLIENTS)
    # botocore reads AWS_DEFAULT_REGION only, every other SDK AWS_REGION.
    session = boto3.Session(botocore_session=botocore_session, region_name=region or os.environ.get("AWS_REGION"))
    place = f"AWS account of profile {session.profile_name} in {session.region_name or 'no region'}"
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        place += f", at {endpoint} (AWS_ENDPOINT_URL)"
    options = (f" --profile {profile}" if profile else "") + (f" --region {region}" if region else "")
    return _said(Place(place, session, options))


def _environment_means_an_account() -> bool:
    return any(os.environ.get(name) for name in _ACCOUNT_VARIABLES)


def _said(place: Place) -> Place:
    Console(stderr=True).print(f"Using the {place.name}", style="dim", markup=False, highlight=False, soft_wrap=True)
    return place
