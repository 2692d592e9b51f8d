"""The stacks put together, and checked."""

from __future__ import annotations

import os

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from gaitway.settings import Settings
from stacks.compute import ComputeStack
from stacks.network import NetworkStack
from stacks.pipeline import PipelineStack
from stacks.storage import StorageStack


def assemble(app: cdk.App, settings: Settings) -> None:
    """Add the stacks and their checks to an app."""
    if not settings.enabled:
        return
    env = _environment(settings)
    network = NetworkStack(app, "GaitwayNetwork", settings, env=env).network
    storage = StorageStack(app, "GaitwayStorage", network, env=env)
    compute = ComputeStack(app, "GaitwayCompute", settings, network, storage, env=env)
    PipelineStack(app, "GaitwayPipeline", settings, storage, compute, env=env)
    if settings.auto_register_with_vams:
        cdk.Annotations.of(app).add_warning_v2(
            "gaitway:autoRegisterWithVAMS",
            "autoRegisterWithVAMS has no effect yet: register the pipelines in VAMS yourself.",
        )
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def _environment(settings: Settings) -> cdk.Environment | None:
    """Say where to deploy: nowhere in particular, unless a VPC has to be looked up there."""
    if settings.vpc_id is None:
        return None
    return cdk.Environment(account=os.environ.get("CDK_DEFAULT_ACCOUNT"), region=os.environ.get("CDK_DEFAULT_REGION"))
