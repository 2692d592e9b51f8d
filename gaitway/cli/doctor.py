"""`gaitway doctor`: what prevents runs, and how to fix it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gaitway.cli.account import look_at_deployed, look_at_planned
from gaitway.cli.exits import HANDLED, Exit, NotUpError, UsageProblemError, explain
from gaitway.cli.findings import Finding
from gaitway.cli.orders import look_at_orders
from gaitway.cli.show import console, print_json
from gaitway.cli.target import (
    DeploymentOption,
    JsonOption,
    LocalOption,
    Place,
    ProfileOption,
    RegionOption,
    choose_names,
    choose_place,
    embedded_commands,
    embedded_endpoint,
)
from gaitway.client.deployment import (
    Deployment,
    NothingDeployedError,
    deployed_stacks,
    physical_ids,
    read_deployment,
)
from gaitway.compute.batch_image import ECR_IMAGE, active_definitions, image_of, is_in_registry
from gaitway.installation import is_checkout
from gaitway.local import launcher
from gaitway.local.launcher import LocalSession
from gaitway.version import checkout_version

ContextOption = Annotated[
    list[str] | None,
    typer.Option(
        "-c",
        "--context",
        metavar="NAME=VALUE",
        help="A setting, as for `cdk deploy`: check what would be deployed, not what is deployed.",
    ),
]
_STYLES = {"ok": "green", "problem": "red", "note": "yellow"}


def doctor(
    as_json: JsonOption = False,
    local: LocalOption = False,
    profile: ProfileOption = None,
    region: RegionOption = None,
    deployment: DeploymentOption = None,
    context: ContextOption = None,
) -> None:
    """Find what prevents a run, or the first deployment, and how to fix each problem."""
    findings = list(_findings(local, profile, region, deployment, _settings(context or [])))
    if as_json:
        print_json([finding.model_dump() for finding in findings])
    else:
        console().print(_table(findings))
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(Exit.FAILED)


def _settings(context: Sequence[str]) -> dict[str, str]:
    """Read the settings that were given."""
    settings: dict[str, str] = {}
    for entry in context:
        name, is_pair, value = entry.partition("=")
        if not is_pair:
            raise UsageProblemError(f"-c {entry} has no value: write -c {name}=VALUE, as for `cdk deploy`")
        settings[name] = value
    return settings


def _findings(
    local: bool, profile: str | None, region: str | None, deployment: str | None, settings: Mapping[str, str]
) -> Iterator[Finding]:
    endpoint_url = embedded_endpoint()
    deployment = deployment or settings.get("deploymentName")
    if endpoint_url:
        yield Finding(subject="embedded AWS", state="ok", detail=f"up at {endpoint_url}")
    elif not local:
        command = embedded_commands(choose_names(deployment)).deploy
        yield Finding(subject="embedded AWS", state="note", detail=f"not up: `{command}` starts it")
    try:
        place = choose_place(local, profile, region, deployment)
    except NotUpError as error:
        yield Finding(subject="embedded AWS", state="problem", detail=str(error))
        return
    yield from _findings_in(place, settings)


def _findings_in(place: Place, settings: Mapping[str, str]) -> Iterator[Finding]:
    """Look at one thing after the other; where one is not there, what needs it is not looked at."""
    identity = _look("credentials", lambda: _credentials(place))
    yield identity
    if identity.state == "problem":
        return
    is_account = not isinstance(place.session, LocalSession)
    try:
        deployment = _deployment(place)
    except HANDLED as error:
        if isinstance(error, NothingDeployedError) and is_account:
            detail = f"{error}, which would also prevent the following checks"
            yield Finding(subject="deployment", state="note", detail=detail)
            yield from look_at_planned(place.session, settings, place.commands.names, (), place.commands.place)
        else:
            yield Finding(subject="deployment", state="problem", detail=explain(error)[1])
        return
    stacks = _stacks(place)
    yield Finding(subject="deployment", state="ok", detail=", ".join(stacks))
    yield _look("version", lambda: _version(place, deployment))
    for arn in (*deployment.job_queue_arns, *_training_queues(place)):
        yield _look("job queue", partial(_job_queue, place, arn))
    try:
        yield from look_at_orders(place.session, place.commands.names)
    except HANDLED as error:
        # Who may start runs need not be allowed to look.
        yield Finding(subject="cluster", state="note", detail=f"not looked at: {explain(error)[1]}")
    if settings and is_account:
        yield from look_at_planned(place.session, settings, place.commands.names, stacks, place.commands.place)
    else:
        yield from _account(place)
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
    return read_deployment(place.session.client("cloudformation"), place.commands)


def _stacks(place: Place) -> Sequence[str]:
    try:
        return deployed_stacks(place.session.client("cloudformation"), place.commands.names)
    except HANDLED:
        # Who may start runs need not be allowed to look at further stacks.
        return place.commands.names.stacks


def _version(place: Place, deployment: Deployment) -> str:
    here = checkout_version()
    if not is_checkout():
        deployed = deployment.gaitway_version or "a version without a name"
        return f"{deployed} is deployed, and this is gaitway {here}, installed without a checkout to compare it with"
    if isinstance(place.session, LocalSession):
        if not launcher.status(place.commands.names).is_current:
            raise _NoteError(f"older than the sources of this checkout: `{place.commands.deploy}` deploys them")
        return f"{here}, as in this checkout"
    if deployment.gaitway_version != here:
        deployed = deployment.gaitway_version or "a version without a name"
        raise _NoteError(
            f"{deployed} is deployed, and this checkout is {here}: run `{place.commands.deploy}` to deploy "
            "it, or check out what is deployed"
        )
    return f"{here}, as in this checkout"


def _job_queue(place: Place, arn: str) -> str:
    batch = place.session.client("batch")
    queues = batch.describe_job_queues(jobQueues=[arn])["jobQueues"]
    name = arn.rpartition("/")[2]
    if not queues:
        raise _ProblemError(f"{name} does not exist: run `{place.commands.deploy}`")
    queue = queues[0]
    if queue["state"] != "ENABLED" or queue["status"] != "VALID":
        raise _ProblemError(
            f"{name} is {queue['state']} and {queue['status']}, and starts no job: enable it in the console of AWS "
            f"Batch, or run `{place.commands.deploy}`"
        )
    of_training = queue.get("serviceEnvironmentOrder")
    if of_training:
        # It has one, a limit: docs.aws.amazon.com/batch/latest/userguide/service-environments.html
        return _service_environment(place, name, of_training[0]["serviceEnvironment"])
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
            f"{name} has no compute environment that starts jobs ({states}): fix that in the console of AWS Batch, or "
            f"run `{place.commands.deploy}`"
        )
    return f"{name} is enabled, with {len(environments) - len(idle)} of {len(environments)} compute environments"


def _training_queues(place: Place) -> list[str]:
    """Return the queue in front of SageMaker, if the deployment has one."""
    try:
        queues = place.session.client("batch").describe_job_queues(jobQueues=[place.commands.names.training_queue])
    except HANDLED:
        # The first of the other queues says why.
        return []
    return [queue["jobQueueArn"] for queue in queues["jobQueues"]]


def _service_environment(place: Place, queue: str, arn: str) -> str:
    """Say whether SageMaker may start what waits in a queue."""
    batch: Any = place.session.client("batch")  # its stubs are older
    [found] = batch.describe_service_environments(serviceEnvironments=[arn])["serviceEnvironments"]
    if (found["state"], found["status"]) != ("ENABLED", "VALID"):
        raise _ProblemError(
            f"{queue} has a service environment that starts no training job: {found['serviceEnvironmentName']} is "
            f"{found['state']} and {found['status']}: fix that in the console of AWS Batch, or run "
            f"`{place.commands.deploy}`"
        )
    return f"{queue} is enabled, in front of SageMaker"


def _account(place: Place) -> Iterator[Finding]:
    """Look at what the deployment needs of its account."""
    if isinstance(place.session, LocalSession):
        yield Finding(subject="quotas", state="ok", detail="none: jobs are processes of this machine")
        return
    try:
        names = _physical_ids(place, "AWS::Batch::ComputeEnvironment")
        batch = place.session.client("batch")
        environments = batch.describe_compute_environments(computeEnvironments=names)["computeEnvironments"]
    except HANDLED as error:
        yield Finding(subject="quotas", state="note", detail=f"not looked at: {explain(error)[1]}")
        return
    yield from look_at_deployed(place.session, environments, place.commands.names, place.commands.place)


def _image(place: Place) -> str:
    names = _physical_ids(place, "AWS::Batch::JobDefinition")
    images = {image_of(definition) for definition in active_definitions(place.session.client("batch"), names)}
    if not images:
        raise _ProblemError(f"no job definition is active: run `{place.commands.deploy}`")
    for image in images:
        _check_image(place, image)
    return ", ".join(sorted(images))


def _physical_ids(place: Place, resource_type: str) -> list[str]:
    """List what the stack with queues and jobs has of one type."""
    return physical_ids(place.session.client("cloudformation"), place.commands.names.stack("Compute"), resource_type)


def _check_image(place: Place, image: str) -> None:
    """Check that an image in the account's own registry exists; any other can be checked only by its jobs."""
    match = ECR_IMAGE.fullmatch(image)
    if match is None or isinstance(place.session, LocalSession):
        return
    if not is_in_registry(place.session.client("ecr"), match):
        raise _ProblemError(
            f"{image} does not exist: run `{place.commands.deploy}`, which builds it, or set containerImageUri"
        )


def _table(findings: list[Finding]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        table.add_row(Text(finding.state, style=_STYLES[finding.state]), finding.subject, Text(finding.detail))
    return table
