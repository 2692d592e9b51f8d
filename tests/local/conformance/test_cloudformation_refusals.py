"""What the embedded CloudFormation refuses, as CloudFormation does: exports in use, and names."""

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from botocore.exceptions import WaiterError

from tests.local.emulator import Emulator

Json = dict[str, Any]
_NAMED = ["CAPABILITY_NAMED_IAM"]


class Stacks:
    """Stacks that are deleted in the end, the youngest first."""

    def __init__(self, emulator: Emulator, closing: ExitStack) -> None:
        self._cloudformation = emulator.client("cloudformation")
        self._closing = closing

    def create(self, template: Json, name: str | None = None) -> str:
        """Create a stack, and return its name."""
        name = name or f"stack-{uuid.uuid4().hex[:8]}"
        self._closing.callback(self._delete, name)
        self._cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template), Capabilities=_NAMED)
        self._wait("stack_create_complete", name)
        return name

    def update(self, name: str, template: Json) -> None:
        """Update a stack."""
        self._cloudformation.update_stack(StackName=name, TemplateBody=json.dumps(template), Capabilities=_NAMED)
        self._wait("stack_update_complete", name)

    def refusal(self, name: str) -> str:
        """Return why the newest operation on a stack was rolled back."""
        events = self._cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        reasons = [event["ResourceStatusReason"] for event in events if "_FAILED" in event["ResourceStatus"]]
        return str(reasons[0])

    def status(self, name: str) -> str:
        """Return a stack's status."""
        return str(self._cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])

    def outputs(self, name: str) -> dict[str, str]:
        """Return a stack's outputs."""
        outputs = self._cloudformation.describe_stacks(StackName=name)["Stacks"][0].get("Outputs", [])
        return {output["OutputKey"]: output["OutputValue"] for output in outputs}

    def exported(self) -> set[str]:
        """List all exports."""
        return {export["Name"] for export in self._cloudformation.list_exports()["Exports"]}

    def _delete(self, name: str) -> None:
        self._cloudformation.delete_stack(StackName=name)
        self._wait("stack_delete_complete", name)

    def _wait(self, state: str, name: str) -> None:
        waiter = self._cloudformation.get_waiter(state)
        waiter.wait(StackName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 300})


@pytest.fixture
def stacks(emulator: Emulator) -> Iterator[Stacks]:
    with ExitStack() as closing:
        yield Stacks(emulator, closing)


@pytest.fixture
def export() -> str:
    return f"export-{uuid.uuid4().hex[:8]}"


def exporting(export: str | None, value: str = "one") -> Json:
    """Write a stack that exports a value, or nothing."""
    outputs: Json = {"Value": {"Value": value}}
    if export:
        outputs["Value"]["Export"] = {"Name": export}
    return {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}, "Outputs": outputs}


def importing(export: str) -> Json:
    return {
        "Resources": {
            "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Fn::ImportValue": export}}},
        }
    }


@pytest.mark.parametrize(
    ("change", "verb"),
    [({"value": "two"}, "updated"), ({"export": None}, "deleted")],
    ids=["another value", "no export"],
)
def test_an_export_that_is_in_use_stays_as_it_is(stacks: Stacks, export: str, change: Json, verb: str) -> None:
    """docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html

    "You can't modify or remove an output value that is referenced by another stack."
    """
    first = stacks.create(exporting(export))
    second = stacks.create(importing(export))
    with pytest.raises(WaiterError):
        stacks.update(first, exporting(**({"export": export} | change)))
    assert stacks.refusal(first) == f"Export {export} cannot be {verb} as it is in use by {second}"
    assert stacks.status(first) == "UPDATE_ROLLBACK_COMPLETE"
    assert stacks.outputs(first) == {"Value": "one"}


def test_an_export_that_nobody_uses_may_change_and_go(stacks: Stacks, export: str) -> None:
    name = stacks.create(exporting(export))
    stacks.update(name, exporting(export, "two"))
    assert export in stacks.exported()
    stacks.update(name, exporting(None, "two"))
    assert export not in stacks.exported()


def test_an_export_belongs_to_one_stack(stacks: Stacks, export: str) -> None:
    """docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html

    "For each AWS account, export names must be unique within a Region."
    """
    owner = stacks.create(exporting(export))
    second = f"stack-{uuid.uuid4().hex[:8]}"
    with pytest.raises(WaiterError):
        stacks.create(exporting(export), second)
    assert stacks.refusal(second) == f"Export with name {export} is already exported by stack {owner}"


NAMED: dict[str, Json] = {
    "AWS::Batch::ComputeEnvironment": {"ComputeEnvironmentName": "NAME", "Type": "unmanaged"},
    "AWS::Batch::JobDefinition": {
        "JobDefinitionName": "NAME",
        "Type": "container",
        "ContainerProperties": {"Image": "gaitway/shell:local"},
    },
    "AWS::Batch::JobQueue": {"JobQueueName": "NAME", "Priority": 1, "ComputeEnvironmentOrder": []},
    "AWS::Batch::SchedulingPolicy": {"Name": "NAME"},
    "AWS::Batch::ServiceEnvironment": {
        "ServiceEnvironmentName": "NAME",
        "ServiceEnvironmentType": "SAGEMAKER_TRAINING",
        "CapacityLimits": [{"CapacityUnit": "NUM_INSTANCES", "MaxCapacity": 1}],
    },
    "AWS::CloudWatch::Alarm": {
        "AlarmName": "NAME",
        "ComparisonOperator": "LessThanThreshold",
        "EvaluationPeriods": 1,
        "MetricName": "Runs",
        "Namespace": "Test",
        "Period": 60,
        "Statistic": "Sum",
        "Threshold": 1,
    },
    "AWS::CloudWatch::CompositeAlarm": {"AlarmName": "NAME", "AlarmRule": "FALSE"},
    "AWS::CloudWatch::Dashboard": {"DashboardName": "NAME", "DashboardBody": '{"widgets": []}'},
    "AWS::DynamoDB::Table": {
        "TableName": "NAME",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    },
    "AWS::ECR::Repository": {"RepositoryName": "NAME"},
    "AWS::IAM::Role": {"RoleName": "NAME", "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}},
    "AWS::Logs::LogGroup": {"LogGroupName": "NAME"},
    "AWS::SNS::Topic": {"TopicName": "NAME"},
    "AWS::SQS::Queue": {"QueueName": "NAME"},
    "AWS::SSM::Parameter": {"Name": "NAME", "Type": "String", "Value": "any"},
}


@pytest.mark.parametrize("kind", sorted(NAMED))
def test_a_name_belongs_to_one_resource(stacks: Stacks, kind: str) -> None:
    """docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-name.html

    "Resource names must be unique across all of your active stacks."
    """
    name = f"name-{uuid.uuid4().hex[:8]}"
    properties = {key: name if value == "NAME" else value for key, value in NAMED[kind].items()}
    template = {"Resources": {"Resource": {"Type": kind, "Properties": properties}}}
    stacks.create(template)
    second = f"stack-{uuid.uuid4().hex[:8]}"
    with pytest.raises(WaiterError):
        stacks.create(template, second)
    assert stacks.refusal(second).startswith(f"{name} already exists in stack arn:aws:cloudformation:")
    assert stacks.status(second) == "ROLLBACK_COMPLETE"


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("AWS::Batch::ComputeEnvironment", {"Tags": {"team": "robots"}}),
        ("AWS::Batch::ComputeEnvironment", {"Type": "managed"}),
        (
            "AWS::DynamoDB::Table",
            {
                "KeySchema": [{"AttributeName": "key", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "key", "AttributeType": "S"}],
            },
        ),
        ("AWS::IAM::Role", {"Path": "/robots/"}),
    ],
)
def test_what_must_be_replaced_keeps_its_name_from_being_updated(stacks: Stacks, kind: str, change: Json) -> None:
    """docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-name.html

    "If you name a resource, you can't perform updates that require replacement of this resource."
    """
    name = f"name-{uuid.uuid4().hex[:8]}"
    properties = {key: name if value == "NAME" else value for key, value in NAMED[kind].items()}
    stack = stacks.create({"Resources": {"Resource": {"Type": kind, "Properties": properties}}})
    with pytest.raises(WaiterError):
        stacks.update(stack, {"Resources": {"Resource": {"Type": kind, "Properties": properties | change}}})
    assert stacks.refusal(stack).startswith(
        "CloudFormation cannot update a stack when a custom-named resource requires replacing."
    )


@pytest.fixture
def definition_name() -> str:
    return f"definition-{uuid.uuid4().hex[:8]}"


def defining(name: str, word: str, *, fails: bool = False) -> Json:
    """Write a stack with a job definition, and with something after it that cannot be created."""
    definition = {
        "JobDefinitionName": name,
        "Type": "container",
        "ContainerProperties": {"Image": "gaitway/shell:local", "Command": ["echo", word]},
    }
    resources: Json = {"Definition": {"Type": "AWS::Batch::JobDefinition", "Properties": definition}}
    if fails:
        resources["Refused"] = {
            "Type": "AWS::EFS::MountTarget",
            "Properties": {"FileSystemId": "fs-none", "SubnetId": "subnet-none", "SecurityGroups": []},
            "DependsOn": "Definition",
        }
    return {"Resources": resources}


def active(emulator: Emulator, name: str) -> list[tuple[int, list[str]]]:
    """List the active revisions of a job definition, and their commands."""
    found = emulator.client("batch").describe_job_definitions(jobDefinitionName=name, status="ACTIVE")["jobDefinitions"]
    return [(item["revision"], item["containerProperties"]["command"]) for item in found]


def test_a_changed_job_definition_has_one_active_revision(
    emulator: Emulator, stacks: Stacks, definition_name: str
) -> None:
    """github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1761"""
    stack = stacks.create(defining(definition_name, "one"))
    stacks.update(stack, defining(definition_name, "two"))
    assert active(emulator, definition_name) == [(2, ["echo", "two"])]


def test_an_update_that_is_rolled_back_leaves_a_job_definition_that_can_be_submitted(
    emulator: Emulator, stacks: Stacks, definition_name: str
) -> None:
    """docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-failure-options.html: a rollback is an update."""
    stack = stacks.create(defining(definition_name, "one"))
    with pytest.raises(WaiterError):
        stacks.update(stack, defining(definition_name, "two", fails=True))
    assert active(emulator, definition_name) == [(3, ["echo", "one"])]
    stacks.update(stack, defining(definition_name, "three"))
    assert [command for _, command in active(emulator, definition_name)] == [["echo", "three"]]
