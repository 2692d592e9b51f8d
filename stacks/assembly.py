"""The stacks put together, and checked."""

from __future__ import annotations

import os

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from cdk_nag import AwsSolutionsChecks

from gaitway.names import cluster_stack
from gaitway.settings import Settings, SettingsError
from gaitway.version import checkout_version
from stacks.components.network import Network
from stacks.compute import ComputeStack
from stacks.eks import EksStack
from stacks.hyperpod import HyperpodStack
from stacks.network import NetworkStack
from stacks.pipeline import PipelineStack
from stacks.prometheus_workspace import PrometheusStack
from stacks.storage import StorageStack

_REPLACED_WITH_THEIR_TAGS = [
    # docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-batch-computeenvironment.html
    "AWS::Batch::ComputeEnvironment",
    # docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ec2-placementgroup.html
    "AWS::EC2::PlacementGroup",
    # CloudFormation would pass a stack's tags on to these, too.
    "aws:cdk:stack",
]
"""Types of resources that have no tags of the deployment: with other tags they would be replaced, and jobs ended."""


def assemble(app: cdk.App, settings: Settings) -> None:
    """Add the stacks and their checks to an app.

    Raises:
        SettingsError: A VPC must be looked up, and its account or region is not known.
    """
    if not settings.enabled:
        return
    env = _environment(settings)
    network = NetworkStack(app, "GaitwayNetwork", settings, env=env).network
    storage = StorageStack(app, "GaitwayStorage", settings, network, env=env)
    compute = ComputeStack(app, "GaitwayCompute", settings, network, storage, env=env)
    pipeline = PipelineStack(app, "GaitwayPipeline", settings, network, storage, env=env)
    # Which it knows by name only.
    pipeline.add_stack_dependency(compute)
    _add_clusters(app, settings, network, storage, compute, env=env)
    if settings.prometheus:
        watching = PrometheusStack(app, "GaitwayPrometheus", settings, network, env=env)
        # Whose topic and clusters it knows by name only.
        for made in (pipeline, *app.node.children):
            if isinstance(made, PipelineStack | HyperpodStack):
                watching.add_stack_dependency(made)
    cdk.CfnOutput(pipeline, "GaitwayVersion", value=checkout_version())
    if settings.permissions_boundary is not None:
        for stack in app.node.children:
            assert isinstance(stack, cdk.Stack)
            boundary = iam.ManagedPolicy.from_managed_policy_arn(stack, "Boundary", settings.permissions_boundary)
            iam.PermissionsBoundary.of(stack).apply(boundary)
    _tag(app, settings)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def _add_clusters(
    app: cdk.App,
    settings: Settings,
    network: Network,
    storage: StorageStack,
    compute: ComputeStack,
    *,
    env: cdk.Environment | None,
) -> None:
    """Add the stacks of the clusters that the deployment makes."""
    for orchestrator in settings.hyperpod_clusters:
        name = f"Gaitway{cluster_stack(orchestrator)}"
        stack = HyperpodStack(app, name, settings, network, storage, orchestrator=orchestrator, env=env)
        # Whose roles it knows by name only.
        stack.add_stack_dependency(compute)
        if orchestrator == "hyperpod-eks" and settings.eks_cluster_arn is None:
            stack.add_stack_dependency(EksStack(app, "GaitwayEks", settings, network, env=env))


def _tag(app: cdk.App, settings: Settings) -> None:
    """Tag everything. Instances and their volumes get the tags from launch templates, which have them from here.

    AWS Batch takes tags from there: docs.aws.amazon.com/batch/latest/userguide/launch-templates.html
    """
    for key, value in settings.tags.items():
        cdk.Tags.of(app).add(key, value, exclude_resource_types=_REPLACED_WITH_THEIR_TAGS)


def _environment(settings: Settings) -> cdk.Environment | None:
    """Return the deployment's account and region: none, unless a VPC must be looked up there."""
    if settings.vpc_id is None:
        return None
    account, region = os.environ.get("CDK_DEFAULT_ACCOUNT"), os.environ.get("CDK_DEFAULT_REGION")
    if not account or not region:
        raise SettingsError(
            f"vpcId is {settings.vpc_id!r}, which has to be looked up in its account: sign in to AWS and set a region, "
            "or leave vpcId out to get a new VPC."
        )
    return cdk.Environment(account=account, region=region)
