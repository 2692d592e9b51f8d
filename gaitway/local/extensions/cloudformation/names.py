"""Names that a template gives its resources: they are unique, and what has one cannot be replaced under it.

docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-name.html
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from ministack.services import cloudformation
from ministack.services.cloudformation import provisioners, stacks

from gaitway.local.services import Json

_NAMES = {
    "AWS::Batch::ComputeEnvironment": "ComputeEnvironmentName",
    "AWS::Batch::JobDefinition": "JobDefinitionName",
    "AWS::Batch::JobQueue": "JobQueueName",
    "AWS::Batch::SchedulingPolicy": "Name",
    "AWS::Batch::ServiceEnvironment": "ServiceEnvironmentName",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::CompositeAlarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::CodeBuild::Project": "Name",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::ECR::Repository": "RepositoryName",
    "AWS::IAM::Role": "RoleName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SSM::Parameter": "Name",
    "AWS::SQS::Queue": "QueueName",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
}
"""The property that names a resource, for each resource type that we use; MiniStack itself checks buckets."""

_REPLACING = {
    # docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-batch-computeenvironment.html
    "AWS::Batch::ComputeEnvironment": ("ComputeEnvironmentName", "Tags", "Type"),
    # .../aws-resource-batch-jobdefinition.html: everything else is a new revision.
    "AWS::Batch::JobDefinition": ("JobDefinitionName",),
    # .../aws-resource-batch-jobqueue.html
    "AWS::Batch::JobQueue": ("JobQueueName", "JobQueueType"),
    # .../aws-resource-batch-schedulingpolicy.html
    "AWS::Batch::SchedulingPolicy": ("Name",),
    # .../aws-resource-batch-serviceenvironment.html
    "AWS::Batch::ServiceEnvironment": ("ServiceEnvironmentName", "ServiceEnvironmentType"),
}
"""Properties with "Update requires: Replacement", for our types."""

_Provision = Callable[..., Any]


def _with_unique_names(provision: _Provision) -> _Provision:
    @wraps(provision)
    def provision_once(resource_type: str, logical_id: str, properties: Json, stack_name: str) -> Any:  # noqa: ANN401
        name = properties.get(_NAMES.get(resource_type, ""))
        if name and (owner := _owner(resource_type, str(name))):
            # CloudFormation's message: openillumi.com/en/en-cloudformation-resource-exists-deleted-stack
            raise ValueError(f"{name} already exists in stack {owner}")
        return provision(resource_type, logical_id, properties, stack_name)

    return provision_once


def _owner(resource_type: str, name: str) -> str | None:
    """Find the stack that has a resource of this type and name."""
    for stack in cloudformation._stacks.values():
        if stack.get("StackStatus") == "DELETE_COMPLETE":
            continue
        for resource in stack.get("_resources", {}).values():
            named = resource.get("Properties", {}).get(_NAMES[resource_type])
            if resource["ResourceType"] == resource_type and str(named) == name:
                return str(stack["StackId"])
    return None


def register() -> None:
    """Refuse what CloudFormation refuses."""
    provisioners._REPLACING_PROPERTIES.update(_REPLACING)
    provisioners._CUSTOM_NAME_REPLACEMENT.update({kind: {"name": _NAMES[kind]} for kind in _REPLACING})
    stacks._provision_resource = _with_unique_names(stacks._provision_resource)
