"""A Lambda function of the pipeline: one folder below `lambdas/`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from gaitway.settings import Settings
from stacks.components.file_system import MOUNT_PATH, RunFileSystem
from stacks.components.findings import acknowledge
from stacks.components.lambda_code import LibraryLayer, function_code, runtime
from stacks.components.logs import log_group
from stacks.components.metrics import grant_metrics
from stacks.components.network import Network

_VPC_ACTIONS = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)
"""With which Lambda itself attaches a function to a VPC:
docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions"""


class RunDirectories(NamedTuple):
    """What a function needs to read the runs' directories."""

    file_system: RunFileSystem
    network: Network


class PipelineFunction(Construct):
    """A function with its own log group and role.

    Attributes:
        function: The function.
        logs: Its log group.
        role: Its role: at first it allows only its logs and traces.
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
        directories: RunDirectories | None = None,
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
            environment: Environment variables in addition to those that every function has.
            directories: The file system for a function that reads it, at `GAITWAY_EFS_ROOT`.
        """
        super().__init__(scope, construct_id)
        self._names = settings.names
        self.logs = log_group(self, "Logs", settings.names.logs(name))
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.logs.grant_write(self.role)
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
            log_group=self.logs,
            timeout=timeout,
            # CPU comes with memory: at less, importing the libraries takes seconds.
            memory_size=512,
            tracing=lambda_.Tracing.ACTIVE if settings.tracing else lambda_.Tracing.DISABLED,
            environment={"POWERTOOLS_SERVICE_NAME": "gaitway", **tracing, **environment},
            **(self._in_vpc(name, directories.network) if directories else {}),
        )
        if directories is not None:
            self._mount(directories.file_system)
        if settings.lambda_python == "host":
            acknowledge(self.function, "L1", "Runs under the interpreter that is installed, which may be older.")
        if settings.tracing:
            acknowledge(self.role, "IAM5[Resource::*]", "X-Ray's write actions take no narrower resource.")

    def _in_vpc(self, name: str, network: Network) -> dict[str, Any]:
        """Let Lambda attach the function to the VPC, and set its subnets."""
        self.allow(*_VPC_ACTIONS, on=["*"])
        own_arn = cdk.Stack.of(self).format_arn(
            service="lambda", resource="function", resource_name=name, arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME
        )
        self.role.add_to_policy(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                actions=[*_VPC_ACTIONS],
                resources=["*"],
                # Lambda may, and the function's code may not.
                conditions={"ArnEquals": {"lambda:SourceFunctionArn": own_arn}},
            )
        )
        acknowledge(self.role, "IAM5[Resource::*]", "Lambda looks for subnets and interfaces before it has any.")
        return {
            "vpc": network.vpc,
            "vpc_subnets": network.compute_subnets,
            "security_groups": [network.function_security_group],
        }

    def _mount(self, file_system: RunFileSystem) -> None:
        """Mount the file system through its access point. The CDK's own way would allow every file system."""
        file_system.grant_read(self.role)
        resource = self.function.node.default_child
        assert isinstance(resource, lambda_.CfnFunction)
        resource.file_system_configs = [
            lambda_.CfnFunction.FileSystemConfigProperty(
                arn=file_system.access_point.access_point_arn, local_mount_path=MOUNT_PATH
            )
        ]
        self.function.add_environment("GAITWAY_EFS_ROOT", MOUNT_PATH)

    def allow_metrics(self) -> None:
        """Let the function publish our metrics."""
        grant_metrics(self.role, self._names)
        self.function.add_environment("GAITWAY_METRICS_NAMESPACE", self._names.metrics_namespace)

    def allow(self, *actions: str, on: list[str]) -> None:
        """Allow the function some actions.

        Args:
            actions: Names of IAM actions.
            on: ARNs.
        """
        self.role.add_to_policy(iam.PolicyStatement(actions=[*actions], resources=on))
