"""What HyperPod clusters need of an account: SageMaker's quotas, which are zero in a new one, and roles of services."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, get_args

from gaitway.cli.account.ml_quotas import Quota, sagemaker_quotas
from gaitway.cli.account.quotas import request_more
from gaitway.cli.account.service_roles import service_roles
from gaitway.cli.findings import Finding
from gaitway.names import Names, cluster_stack
from gaitway.settings import Cluster, Settings

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient

_SUBJECT = "quota of clusters"
_PLAN = "training plan"
_TOTAL = "Total number of instances allowed across SageMaker HyperPod clusters"
_LARGEST = "Maximum number instances allowed per SageMaker HyperPod cluster"
"""Names of quotas, as Service Quotas spells them. Codes are not documented, so that each is found by its name:
docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-prerequisites.html"""
_EKS_ROLES = {
    # docs.aws.amazon.com/sagemaker/latest/dg/security-iam-awsmanpol-AmazonSageMakerHyperPodServiceRolePolicy.html
    "hyperpod.sagemaker.amazonaws.com": "AWSServiceRoleForSageMakerHyperPod",
    # docs.aws.amazon.com/eks/latest/userguide/using-service-linked-roles-eks.html
    "eks.amazonaws.com": "AWSServiceRoleForAmazonEKS",
}


def look_at_cluster_quotas(
    service_quotas: Any,  # noqa: ANN401 - no stubs are installed for this service
    settings: Settings,
    options: str,
) -> Iterator[Finding]:
    """Compare the account's quotas with the clusters that the settings make.

    Args:
        service_quotas: A client of Service Quotas.
        settings: Settings of the deployment.
        options: Options that direct an AWS CLI command to the account.
    """
    clusters = [settings.cluster_instances(name) for name in settings.hyperpod_clusters]
    if not clusters:
        return
    types = {type_: sum(cluster.get(type_, 0) for cluster in clusters) for cluster in clusters for type_ in cluster}
    # The instances of a training plan have been reserved.
    reserved = settings.node_type(settings.hyperpod_clusters[0]) if settings.training_plan_arn else None
    needed = {f"{type_} for cluster usage": count for type_, count in types.items() if type_ != reserved}
    needed |= {_TOTAL: sum(types.values()), _LARGEST: max(sum(cluster.values()) for cluster in clusters)}
    found = sagemaker_quotas(service_quotas, set(needed))
    for name, count in needed.items():
        yield _compare(name, count, found.get(name), options)


def look_at_training_plan(
    sagemaker: Any,  # noqa: ANN401 - no stubs are installed for this service
    settings: Settings,
    zone: str,
) -> Iterator[Finding]:
    """Check that a training plan has what the cluster takes of it.

    Args:
        sagemaker: A client of SageMaker.
        settings: Settings of the deployment.
        zone: The zone of the nodes of one job.
    """
    if settings.training_plan_arn is None:
        return
    name = settings.training_plan_arn.rpartition("/")[2]
    type_ = settings.node_type(settings.hyperpod_clusters[0])
    try:
        plan = sagemaker.describe_training_plan(TrainingPlanName=name)
    except sagemaker.exceptions.ResourceNotFound:
        detail = f"trainingPlanArn is {settings.training_plan_arn!r}, which does not exist"
        yield Finding(subject=_PLAN, state="problem", detail=f"{detail}: look for it in SageMaker's console")
        return
    reserved = [one for one in plan.get("ReservedCapacitySummaries", []) if one["InstanceType"] == type_]
    there = sum(one["TotalInstanceCount"] for one in reserved)
    zones = {one.get("AvailabilityZone", zone) for one in reserved}
    wrong = []
    if plan["Status"] not in ("Active", "Scheduled"):
        wrong.append(f"it is {plan['Status']}: buy another one")
    if "hyperpod-cluster" not in plan.get("TargetResources", ["hyperpod-cluster"]):
        wrong.append("it is for training jobs: buy one for HyperPod clusters")
    if there < settings.cluster_nodes:
        wrong.append(f"it reserves {there} {type_}, and clusterNodes is {settings.cluster_nodes}: lower that")
    elif zones != {zone}:
        wrong.append(
            f"it is in {', '.join(sorted(zones))}, and nodes of one job are in {zone}: name its zone first in "
            "availabilityZones, or a subnet of its zone first in subnetIds"
        )
    for what in wrong:
        yield Finding(subject=_PLAN, state="problem", detail=f"{name} cannot be used: {what}")
    if not wrong:
        yield Finding(subject=_PLAN, state="ok", detail=f"{name} is {plan['Status']}, with {there} {type_} in {zone}")


def look_at_cluster_roles(iam: IAMClient, settings: Settings, options: str) -> Iterator[Finding]:
    """Check for the roles with which HyperPod and EKS act.

    Args:
        iam: A client of IAM.
        settings: Settings of the deployment.
        options: Options that direct an AWS CLI command to the account.
    """
    if "hyperpod-eks" not in settings.hyperpod_clusters:
        return
    there = service_roles(iam)
    for service, role in _EKS_ROLES.items():
        if service not in there:
            yield Finding(
                subject="roles of clusters",
                state="note",
                detail=f"{role} does not exist: `cdk deploy` makes it if its role in CloudFormation may call "
                "iam:CreateServiceLinkedRole; otherwise run `aws iam create-service-linked-role --aws-service-name "
                f"{service}{options}` first",
            )
    if _EKS_ROLES.keys() <= there.keys():
        yield Finding(subject="roles of clusters", state="ok", detail=", ".join(_EKS_ROLES.values()))


def look_at_left_clusters(stacks: Collection[str], settings: Settings, names: Names) -> Iterator[Finding]:
    """Report clusters that the settings no longer make, and that are on the bill nevertheless.

    Args:
        stacks: The stacks that are deployed.
        settings: Settings of the deployment.
        names: The names of the deployment.
    """
    for cluster in get_args(Cluster):
        kind = cluster_stack(cluster)
        if cluster not in settings.hyperpod_clusters and names.stack(kind) in stacks:
            yield Finding(
                subject="cluster",
                state="problem",
                detail=f"the stack {names.stack(kind)} is there and its nodes are on the bill, but hyperpodClusters "
                f"has no {cluster}: put it back, or delete the cluster: `npx cdk destroy Gaitway{kind}`, run with the "
                "settings that made it",
            )


def _compare(name: str, count: int, quota: Quota | None, options: str) -> Finding:
    if quota is None:
        return Finding(
            subject=_SUBJECT,
            state="problem" if name not in (_TOTAL, _LARGEST) else "note",
            detail=f"SageMaker has no quota {name!r} here, so that HyperPod may not offer it in this region: look in "
            "the console of Service Quotas, and name another type",
        )
    words = f"{quota.value:.0f} of {name} ({quota.code})"
    if quota.value >= count:
        return Finding(subject=_SUBJECT, state="ok", detail=f"{words}, of which the deployment takes {count}")
    return Finding(
        subject=_SUBJECT,
        state="problem",
        detail=f"{words}, and the deployment takes {count}, so that its cluster cannot be made: "
        f"{request_more('sagemaker', quota.code, count, options)}",
    )
