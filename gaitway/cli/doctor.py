"""`gaitway doctor`: what stands in the way of a run, and how to mend it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import typer
from botocore.exceptions import ClientError
from rich.table import Table
from rich.text import Text

from gaitway.cli.exits import HANDLED, Exit, NotUpError, explain
from gaitway.cli.findings import Finding
from gaitway.cli.quotas import look_at_quotas
from gaitway.cli.show import console, print_json
from gaitway.cli.target import (
    JsonOption,
    LocalOption,
    Place,
    ProfileOption,
    RegionOption,
    choose_place,
    embedded_endpoint,
)
from gaitway.deployment import STACKS, Deployment, read_deployment
from gaitway.local import launcher
from gaitway.local.launcher import LocalSession
from gaitway.version import checkout_version

if TYPE_CHECKING:
    from types_boto3_batch.type_defs import JobDefinitionTypeDef

_ECR_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.[^/]+/(?P<repository>[^:@]+)(?:@(?P<digest>sha256:\w+)|:(?P<tag>.+))?"
)
_STYLES = {"ok": "green", "problem": "red", "note": "yellow"}


def doctor(
    as_json: JsonOption = False,
    local: LocalOption = False,
    profile: ProfileOption = None,
    region: RegionOption = None,
) -> None:
    """Look for what stands in the way of a run: credentials, deployment, queue, quotas, image; each with its cure."""
    findings = list(_findings(local, profile, region))
    if as_json:
        print_json([finding.model_dump() for finding in findings])
    else:
        console().print(_table(findings))
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(Exit.FAILED)


def _findings(local: bool, profile: str | None, region: str | None) -> Iterator[Finding]:
    endpoint_url = embedded_endpoint()
    if endpoint_url:
        yield Finding(subject="embedded AWS", state="ok", detail=f"up at {endpoint_url}")
    elif not local:
        yield Finding(subject="embedded AWS", state="note", detail="not up: `gaitway local up` starts it")
    try:
        place = choose_place(local, profile, region)
    except NotUpError as error:
        yield Finding(subject="embedded AWS", state="problem", detail=str(error))
        return
    yield from _findings_in(place)


def _findings_in(place: Place) -> Iterator[Finding]:
    """Look at one thing after the other; where one is not there, what needs it is not looked at."""
    identity = _look("credentials", lambda: _credentials(place))
    yield identity
    if identity.state == "problem":
        return
    deployed = _look("deployment", lambda: ", ".join(STACKS) if _deployment(place) else "")
    yield deployed
    if deployed.state == "problem":
        return
    deployment = _deployment(place)
    yield _look("version", lambda: _version(place, deployment))
    yield _look("job queue", lambda: _job_queue(place, deployment))
    yield from _quotas(place)
    yield _look("image", lambda: _image(place))


def _look(subject: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(subject=subject, state="ok", detail=check())
    except _NoteError as note:
        return Finding(subject=subject, state="note", detail=str(note))
    except (*HANDLED, _ProblemError) as error:
        return Finding(subject=subject, state="problem", detail=explain(error)[1])


class _ProblemError(Exception):
    """Something is there, but not as a run needs it."""


class _NoteError(Exception):
    """Something stops no run, but is worth knowing."""


def _credentials(place: Place) -> str:
    identity = place.session.client("sts").get_caller_identity()
    return f"{identity['Arn']} in {place.session.region_name}"


def _deployment(place: Place) -> Deployment:
    return read_deployment(place.session.client("cloudformation"))


def _version(place: Place, deployment: Deployment) -> str:
    here = checkout_version()
    if isinstance(place.session, LocalSession):
        if not launcher.status().is_current:
            raise _NoteError("older than the sources of this checkout: `gaitway local up` deploys them")
        return f"{here}, as in this checkout"
    if deployment.gaitway_version != here:
        deployed = deployment.gaitway_version or "a version without a name"
        raise _NoteError(
            f"{deployed} is deployed, and this checkout is {here}: run `cdk deploy --all` to deploy it, or check out "
            "what is deployed"
        )
    return f"{here}, as in this checkout"


def _job_queue(place: Place, deployment: Deployment) -> str:
    batch = place.session.client("batch")
    queues = batch.describe_job_queues(jobQueues=[deployment.job_queue_arn])["jobQueues"]
    name = deployment.job_queue_arn.rpartition("/")[2]
    if not queues:
        raise _ProblemError(f"{name} does not exist: run `cdk deploy --all`")
    queue = queues[0]
    if queue["state"] != "ENABLED" or queue["status"] != "VALID":
        raise _ProblemError(
            f"{name} is {queue['state']} and {queue['status']}, and starts no job: enable it in the console of AWS "
            "Batch, or run `cdk deploy --all`"
        )
    names = [entry["computeEnvironment"] for entry in queue["computeEnvironmentOrder"]]
    environments = batch.describe_compute_environments(computeEnvironments=names)["computeEnvironments"]
    idle = [one for one in environments if one.get("state") != "ENABLED" or one.get("status") != "VALID"]
    # One that is left takes the jobs.
    if len(idle) == len(environments):
        states = "; ".join(
            f"{one['computeEnvironmentName']} is {one.get('state')} and {one.get('status')}: {one.get('statusReason')}"
            for one in idle
        )
        raise _ProblemError(
            f"{name} has no compute environment that starts jobs ({states}): mend that in the console of AWS Batch, or "
            "run `cdk deploy --all`"
        )
    return f"{name} is enabled, with {len(environments) - len(idle)} of {len(environments)} compute environments"


def _quotas(place: Place) -> Iterator[Finding]:
    if isinstance(place.session, LocalSession):
        yield Finding(subject="quotas", state="ok", detail="none: jobs are processes of this machine")
        return
    try:
        names = _physical_ids(place, "AWS::Batch::ComputeEnvironment")
        batch = place.session.client("batch")
        environments = batch.describe_compute_environments(computeEnvironments=names)["computeEnvironments"]
        yield from look_at_quotas(place.session.client("service-quotas"), environments)
    except HANDLED as error:
        # Who may start runs need not be allowed to read quotas.
        yield Finding(subject="quotas", state="note", detail=f"not looked at: {explain(error)[1]}")


def _image(place: Place) -> str:
    images = {_image_of(definition) for definition in _job_definitions(place)}
    if not images:
        raise _ProblemError("no job definition is active: run `cdk deploy --all`")
    for image in images:
        _check_image(place, image)
    return ", ".join(sorted(images))


def _job_definitions(place: Place) -> list[JobDefinitionTypeDef]:
    names = _physical_ids(place, "AWS::Batch::JobDefinition")
    if not names:
        return []
    definitions = place.session.client("batch").describe_job_definitions(jobDefinitions=names)["jobDefinitions"]
    return [definition for definition in definitions if definition.get("status") == "ACTIVE"]


def _physical_ids(place: Place, resource_type: str) -> list[str]:
    """List what the stack with queues and jobs has of one type."""
    resources = place.session.client("cloudformation").get_paginator("list_stack_resources")
    return [
        resource["PhysicalResourceId"]
        for page in resources.paginate(StackName="GaitwayCompute")
        for resource in page["StackResourceSummaries"]
        if resource["ResourceType"] == resource_type
    ]


def _image_of(definition: JobDefinitionTypeDef) -> str:
    if nodes := definition.get("nodeProperties"):
        return nodes["nodeRangeProperties"][0]["container"]["image"]
    return definition["containerProperties"]["image"]


def _check_image(place: Place, image: str) -> None:
    """Check that an image in the account's own registry is there; of any other, only its jobs can tell."""
    match = _ECR_IMAGE.fullmatch(image)
    if match is None or isinstance(place.session, LocalSession):
        return
    ecr = place.session.client("ecr")
    try:
        ecr.describe_images(
            registryId=match["account"],
            repositoryName=match["repository"],
            imageIds=[{"imageDigest": match["digest"]} if match["digest"] else {"imageTag": match["tag"] or "latest"}],
        )
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("ImageNotFoundException", "RepositoryNotFoundException"):
            raise
        raise _ProblemError(
            f"{image} does not exist: run `cdk deploy --all`, which builds it, or set containerImageUri"
        ) from error


def _table(findings: list[Finding]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        table.add_row(Text(finding.state, style=_STYLES[finding.state]), finding.subject, Text(finding.detail))
    return table
