"""What `cdk deploy` left: the outputs of our stacks, in an account or in the embedded AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from pydantic import ConfigDict, ValidationError
from pydantic.alias_generators import to_pascal

from gaitway.contracts.model import Model

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient

STACKS = ("GaitwayNetwork", "GaitwayStorage", "GaitwayCompute", "GaitwayPipeline")
"""The stacks, in the order in which they depend on each other."""


class NotDeployedError(Exception):
    """The stacks are not there, or not complete."""


class Deployment(Model):
    """What a client of a deployment needs to know: the stacks' outputs, whose keys are these names in PascalCase."""

    model_config = ConfigDict(alias_generator=to_pascal, validate_by_alias=True, validate_by_name=True, extra="ignore")

    pipeline_arn: str
    """The inner state machine."""
    workflow_arn: str
    """The outer state machine, for deployments without VAMS."""
    launch_function_name: str
    """The Lambda function that a caller invokes with its task token."""
    asset_bucket_name: str
    run_table_name: str
    job_queue_arn: str
    gaitway_version: str | None = None
    """Which sources were deployed: `gaitway.version`; None of those that are older than this output."""


def read_deployment(cloudformation: CloudFormationClient) -> Deployment:
    """Read the outputs of the stacks.

    Raises:
        NotDeployedError: A stack or one of the outputs does not exist.
    """
    outputs: dict[str, str] = {}
    for name in STACKS:
        try:
            stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise NotDeployedError(f"there is no stack {name}: run `cdk deploy --all`") from error
        outputs |= {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    try:
        return Deployment.model_validate(outputs)
    except ValidationError as error:
        missing = ", ".join(str(item["loc"][0]) for item in error.errors())
        raise NotDeployedError(f"the stacks have no output {missing}: run `cdk deploy --all`") from error
