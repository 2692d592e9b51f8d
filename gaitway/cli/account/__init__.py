"""The account checks of `gaitway doctor`: what AWS does not set up by itself, and a deployment cannot.

They can run before the first deployment, for what the settings would deploy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gaitway.cli.account.clusters import (
    look_at_cluster_quotas,
    look_at_cluster_roles,
    look_at_left_clusters,
    look_at_training_plan,
)
from gaitway.cli.account.disk_key import look_at_disk_key
from gaitway.cli.account.instances import Client, Instances, deployed_instances, planned_instances, planned_pools
from gaitway.cli.account.ml_quotas import deployed_training, look_at_ml_quotas, planned_training
from gaitway.cli.account.quotas import look_at_pools, look_at_quotas
from gaitway.cli.account.service_roles import look_at_service_roles
from gaitway.cli.account.vpc import look_at_default_group, look_at_dns
from gaitway.cli.account.zones import look_at_zones
from gaitway.cli.exits import HANDLED, explain
from gaitway.cli.findings import Finding
from gaitway.installation import REPOSITORY_ROOT, NotInstalledError, require_checkout
from gaitway.settings import SettingsError, load_settings

if TYPE_CHECKING:
    import boto3
    from types_boto3_batch.type_defs import ComputeEnvironmentDetailTypeDef

    from gaitway.names import Names


def look_at_planned(
    session: boto3.Session, given: Mapping[str, str], names: Names, stacks: Collection[str], options: str
) -> Iterator[Finding]:
    """Check what `cdk deploy` needs.

    Args:
        session: Session in the account.
        given: Settings that override those in config.json, as passed to `cdk deploy -c`.
        names: The deployment's names.
        stacks: Those of its stacks that are deployed.
        options: Options that direct an AWS CLI command to the account.
    """
    try:
        require_checkout("looking at what a deployment would need")
        # Whether the licence is accepted is for `cdk deploy` to ask.
        settings = load_settings({**given, "acceptNvidiaEula": "true"}, REPOSITORY_ROOT)
        instances = planned_instances(settings, _client(session, "ec2"))
    except SettingsError as error:
        yield Finding(subject="settings", state="problem", detail=str(error))
        return
    except NotInstalledError as error:
        yield _not_looked_at("settings", error)
        return
    except HANDLED as error:
        yield _not_looked_at("zones", error)
        return
    words = ", ".join(f"{name}={value}" for name, value in given.items())
    yield Finding(
        subject="settings", state="ok", detail=f"{words}, else as in config.json" if words else "as in config.json"
    )
    yield from look_at_left_clusters(stacks, settings, names)
    quotas = _client(session, "service-quotas")
    yield from _look("quotas", lambda: look_at_pools(quotas, planned_pools(settings), options))
    yield from _look("quotas of SageMaker", lambda: look_at_ml_quotas(quotas, planned_training(settings), options))
    yield from _look("quotas of clusters", lambda: look_at_cluster_quotas(quotas, settings, options))
    if settings.training_plan_arn is not None:
        sagemaker, zone = _client(session, "sagemaker"), instances.node_zone
        yield from _look("training plan", lambda: look_at_training_plan(sagemaker, settings, zone))
    iam = session.client("iam")
    yield from _look("roles of clusters", lambda: look_at_cluster_roles(iam, settings, options))
    yield from _look_at_account(session, instances, options)


def look_at_deployed(
    session: boto3.Session, environments: Sequence[ComputeEnvironmentDetailTypeDef], names: Names, options: str
) -> Iterator[Finding]:
    """Check what a deployment needs.

    Args:
        session: Session in the account.
        environments: The compute environments, as AWS Batch describes them.
        names: The deployment's names.
        options: Options that direct an AWS CLI command to the account.
    """
    quotas = _client(session, "service-quotas")
    yield from _look("quotas", lambda: look_at_quotas(quotas, environments, options))
    ssm, batch = _client(session, "ssm"), _client(session, "batch")
    yield from _look(
        "quotas of SageMaker", lambda: look_at_ml_quotas(quotas, deployed_training(ssm, batch, names), options)
    )
    try:
        instances = deployed_instances(environments, _client(session, "ec2"))
    except HANDLED as error:
        yield _not_looked_at("zones", error)
        return
    yield from _look_at_account(session, instances, options)


def _look_at_account(session: boto3.Session, instances: Instances, options: str) -> Iterator[Finding]:
    iam, kms, ec2 = session.client("iam"), _client(session, "kms"), _client(session, "ec2")
    yield from _look("service-linked roles", lambda: look_at_service_roles(iam, instances, options))
    yield from _look("zones", lambda: look_at_zones(ec2, instances))
    yield from _look("DNS of the VPC", lambda: look_at_dns(ec2, instances, options))
    yield from _look("default security group", lambda: look_at_default_group(ec2, instances, options))
    yield from _look("key of volumes", lambda: look_at_disk_key(ec2, kms, iam, instances, options))


def _look(subject: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except HANDLED as error:
        yield _not_looked_at(subject, error)


def _not_looked_at(subject: str, error: Exception) -> Finding:
    # Who may start runs need not be allowed to read all this.
    return Finding(subject=subject, state="note", detail=f"not looked at: {explain(error)[1]}")


def _client(session: boto3.Session, service: str) -> Client:
    """Make a client of a service for which no stubs are installed."""
    untyped: Any = session
    return untyped.client(service)
