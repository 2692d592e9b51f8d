"""The stacks put together, and checked."""

from __future__ import annotations

import os

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from cdk_nag import AwsSolutionsChecks

from gaitway.settings import Settings, SettingsError
from gaitway.version import checkout_version
from stacks.compute import ComputeStack
from stacks.network import NetworkStack
from stacks.pipeline import PipelineStack
from stacks.storage import StorageStack


def assemble(app: cdk.App, settings: Settings) -> None:
    """Add the stacks and their checks to an app.

    Raises:
        SettingsError: A VPC has to be looked up, and it is not known where.
    """
    if not settings.enabled:
        return
    env = _environment(settings)
    network = NetworkStack(app, "GaitwayNetwork", settings, env=env).network
    storage = StorageStack(app, "GaitwayStorage", settings, network, env=env)
    compute = ComputeStack(app, "GaitwayCompute", settings, network, storage, env=env)
    pipeline = PipelineStack(app, "GaitwayPipeline", settings, network, storage, compute, env=env)
    cdk.CfnOutput(pipeline, "GaitwayVersion", value=checkout_version())
    if settings.permissions_boundary is not None:
        for stack in app.node.children:
            assert isinstance(stack, cdk.Stack)
            boundary = iam.ManagedPolicy.from_managed_policy_arn(stack, "Boundary", settings.permissions_boundary)
            iam.PermissionsBoundary.of(stack).apply(boundary)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def _environment(settings: Settings) -> cdk.Environment | None:
    """Say where to deploy: nowhere in particular, unless a VPC has to be looked up there."""
    if settings.vpc_id is None:
        return None
    account, region = os.environ.get("CDK_DEFAULT_ACCOUNT"), os.environ.get("CDK_DEFAULT_REGION")
    if not account or not region:
        raise SettingsError(
            f"vpcId is {settings.vpc_id!r}, which has to be looked up in its account: sign in to AWS and set a region, "
            "or leave vpcId out to get a new VPC."
        )
    return cdk.Environment(account=account, region=region)
