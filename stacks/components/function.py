"""A Lambda function of the pipeline: one folder below `lambdas/`."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from gaitway.settings import Settings
from stacks.components.findings import acknowledge
from stacks.components.lambda_code import LibraryLayer, function_code, runtime
from stacks.components.logs import log_group


class PipelineFunction(Construct):
    """A function with a log group and a role of its own.

    Attributes:
        function: The function.
        role: What it may do: at first no more than write its logs and traces.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        settings: Settings,
        *,
        verb: str,
        name: str,
        layer: LibraryLayer,
        timeout: cdk.Duration,
        environment: Mapping[str, str],
    ) -> None:
        """Make the function.

        Args:
            scope: Parent.
            construct_id: Id.
            settings: Settings of the deployment.
            verb: Folder below `lambdas/`.
            name: Name of the function in AWS.
            layer: The libraries.
            timeout: How long one call may take.
            environment: Environment variables beside those that every function has.
        """
        super().__init__(scope, construct_id)
        logs = log_group(self, "Logs", f"/gaitway/{name}")
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        logs.grant_write(self.role)
        tracing = {} if settings.tracing else {"POWERTOOLS_TRACE_DISABLED": "true"}
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            runtime=runtime(settings),
            code=function_code(),
            handler=f"lambdas.{verb}.handler.handler",
            layers=[layer],
            role=self.role,
            log_group=logs,
            timeout=timeout,
            # CPU comes with memory: at less, importing the libraries takes seconds.
            memory_size=512,
            tracing=lambda_.Tracing.ACTIVE if settings.tracing else lambda_.Tracing.DISABLED,
            environment={"POWERTOOLS_SERVICE_NAME": "gaitway", **tracing, **environment},
        )
        if settings.lambda_python == "host":
            acknowledge(self.function, "L1", "Runs under the interpreter that is installed, which may be older.")
        if settings.tracing:
            acknowledge(self.role, "IAM5[Resource::*]", "X-Ray's write actions take no narrower resource.")

    def allow(self, *actions: str, on: list[str]) -> None:
        """Let the function do something.

        Args:
            actions: Names of IAM actions.
            on: ARNs.
        """
        self.role.add_to_policy(iam.PolicyStatement(actions=[*actions], resources=on))
