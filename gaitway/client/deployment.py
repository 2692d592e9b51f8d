"""What `cdk deploy` left: the outputs of our stacks, in an account or in the embedded AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from botocore.exceptions import ClientError
from pydantic import BeforeValidator, ConfigDict, ValidationError
from pydantic.alias_generators import to_pascal

from gaitway.commands import DEFAULT_COMMANDS, Commands
from gaitway.contracts.model import Model

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient

    from gaitway.names import Names


def _split(value: object) -> object:
    """An output is a string."""
    return tuple(value.split(",")) if isinstance(value, str) else value


class NotDeployedError(Exception):
    """The stacks are not there, or not complete."""


class NothingDeployedError(NotDeployedError):
    """None of the stacks exists."""


class Deployment(Model):
    """What a client needs to know about a deployment: the stacks' outputs, named like these fields in PascalCase."""

    model_config = ConfigDict(alias_generator=to_pascal, validate_by_alias=True, validate_by_name=True, extra="ignore")

    pipeline_arn: str
    """The inner state machine."""
    workflow_arn: str
    """The outer state machine, which the command line asks for runs."""
    launch_function_name: str
    """The Lambda function that a caller invokes with its task token."""
    asset_bucket_name: str
    run_table_name: str
    job_queue_arns: Annotated[tuple[str, ...], BeforeValidator(_split)]
    """Of jobs of one node, the fewest GPUs first, and then those of jobs of several nodes."""
    gaitway_version: str | None = None
    """Digest of the deployed sources: `gaitway.version`; None in deployments that are older than this output."""

    @property
    def job_queue_arn(self) -> str:
        """Where jobs wait that need the fewest GPUs."""
        return self.job_queue_arns[0]


def read_deployment(cloudformation: CloudFormationClient, commands: Commands = DEFAULT_COMMANDS) -> Deployment:
    """Read the outputs of the stacks.

    Args:
        cloudformation: A client.
        commands: The suggested commands of the deployment.

    Raises:
        NotDeployedError: A stack or one of the outputs does not exist; NothingDeployedError: not even the first stack.
    """
    outputs: dict[str, str] = {}
    for name in commands.names.stacks:
        try:
            stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            missing_error = NothingDeployedError if name == commands.names.stacks[0] else NotDeployedError
            raise missing_error(f"the stack {name} does not exist: run `{commands.deploy}`") from error
        outputs |= {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    try:
        return Deployment.model_validate(outputs)
    except ValidationError as error:
        missing = ", ".join(str(item["loc"][0]) for item in error.errors())
        raise NotDeployedError(f"the stacks have no output {missing}: run `{commands.deploy}`") from error


def deployed_stacks(cloudformation: CloudFormationClient, names: Names) -> list[str]:
    """List a deployment's stacks, in the order of their dependencies: also those that its settings no longer have.

    Args:
        cloudformation: A client.
        names: The names of the deployment, which exists.
    """

    def exists(stack: str) -> bool:
        try:
            cloudformation.describe_stacks(StackName=stack)
        except ClientError as error:
            # docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html: so for a deleted one.
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            return False
        return True

    return [*names.stacks, *filter(exists, names.further_stacks)]


def physical_ids(cloudformation: CloudFormationClient, stack: str, resource_type: str) -> list[str]:
    """List the physical names of a stack's resources of one type.

    Args:
        cloudformation: A client.
        stack: Name of the stack.
        resource_type: CloudFormation's type: `AWS::Batch::JobDefinition`.
    """
    resources = cloudformation.get_paginator("list_stack_resources")
    return [
        resource["PhysicalResourceId"]
        for page in resources.paginate(StackName=stack)
        for resource in page["StackResourceSummaries"]
        if resource["ResourceType"] == resource_type
    ]
