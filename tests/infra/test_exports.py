"""What one stack takes from another: CloudFormation neither changes nor removes an export that is imported.

docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic.alias_generators import to_camel

from gaitway.settings import Settings
from tests.infra.conftest import Synthesise
from tests.infra.deployments import ENVIRONMENT, SETTINGS, settings_of
from tests.infra.templates import ROOT, Synthesis

STAYS = {
    # The data, and where everything stands: replacing one of these is another deployment.
    "AWS::DynamoDB::Table",
    "AWS::EC2::SecurityGroup",
    "AWS::EC2::Subnet",
    "AWS::EC2::VPC",
    "AWS::EFS::AccessPoint",
    "AWS::EFS::FileSystem",
    "AWS::S3::Bucket",
}
"""Types that no change of settings or sources replaces. A job definition is a new revision with every change, a layer
and a launch template's version are new ones, too; queues come and go with the instance types."""


REPLACES = {
    # What "Update requires: Replacement" stands at: docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/...
    "AWS::DynamoDB::Table": {"TableName", "KeySchema"},  # aws-resource-dynamodb-table.html
    "AWS::EC2::SecurityGroup": {"GroupDescription", "GroupName", "VpcId"},  # aws-resource-ec2-securitygroup.html
    "AWS::EC2::Subnet": {"AvailabilityZone", "CidrBlock", "VpcId"},  # aws-resource-ec2-subnet.html
    "AWS::EC2::VPC": {"CidrBlock"},  # aws-resource-ec2-vpc.html
    # aws-resource-efs-accesspoint.html
    "AWS::EFS::AccessPoint": {"ClientToken", "FileSystemId", "PosixUser", "RootDirectory"},
    # aws-resource-efs-filesystem.html
    "AWS::EFS::FileSystem": {"AvailabilityZoneName", "Encrypted", "KmsKeyId", "PerformanceMode"},
    "AWS::S3::Bucket": {"BucketName"},  # aws-resource-s3-bucket.html
}
"""Properties of these types that no update changes in place."""

CHOSEN_ONCE = {"vpc_id": {"existing-vpc", "subnets", "existing-eks"}, "availability_zones": {"zones"}}
"""Settings that a deployment keeps, and what stands for them in `SETTINGS`; deploymentName is another deployment."""

ONE_VALUE = {"enabled"}
"""Settings without another value that deploys."""
FOR_LAPTOPS = {"job_gpus", "lambda_python"}
"""Settings that only the embedded AWS has other values of."""


@pytest.fixture
def deployed(synthesise: Synthesise, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Synthesis:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return synthesise(settings_of(request.param))


def exported(synthesis: Synthesis) -> dict[str, dict[str, Any]]:
    """The exports by stack, then by name: what each of them refers to, and the type of that."""
    return {
        stack: {
            output["Export"]["Name"]: output["Value"]
            for output in template.get("Outputs", {}).values()
            if "Export" in output
        }
        for stack, template in synthesis.templates.items()
    }


@pytest.mark.parametrize("deployed", SETTINGS, indirect=True)
def test_no_export_changes_with_settings_or_sources(deployed: Synthesis) -> None:
    for stack, values in exported(deployed).items():
        for name, value in values.items():
            types = {deployed.templates[stack]["Resources"][target]["Type"] for target in referred(value)}
            assert types, f"{name} holds a value and not a resource"
            assert types <= STAYS, name


@pytest.mark.parametrize("before", ["on-demand", "existing-vpc"])
def test_an_update_to_other_settings_changes_no_export_but_for_those_that_are_chosen_once(
    synthesise: Synthesise, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """The stack that exports is updated first, while the one that imports is still as it was."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    old = synthesise(settings_of(before))
    refused = {name for name in SETTINGS.keys() - {"named"} if taken_away(old, synthesise(settings_of(name)))}
    needs_another_vpc = SETTINGS.keys() - {"named"} - CHOSEN_ONCE["vpc_id"]
    assert refused == (needs_another_vpc if before == "existing-vpc" else set.union(*CHOSEN_ONCE.values()))


def test_settings_that_are_chosen_once_say_so() -> None:
    lines = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8").splitlines()
    once = "cannot be changed after the first deployment"
    said = {line.split("`")[1] for line in lines if line.startswith("| `") and once in line}
    assert said == {to_camel(name) for name in CHOSEN_ONCE}


def test_every_setting_is_tried() -> None:
    tried = {name for given in SETTINGS.values() for name in given}
    untried = {name for name, field in Settings.model_fields.items() if (field.alias or to_camel(name)) not in tried}
    assert untried == ONE_VALUE | FOR_LAPTOPS


def test_queues_and_jobs_are_known_by_name_and_there_before_they_are_used(aws: Synthesis) -> None:
    assert exported(aws)["GaitwayCompute"] == {}
    manifest = json.loads((aws.directory / "manifest.json").read_text(encoding="utf-8"))
    assert "GaitwayCompute" in manifest["artifacts"]["GaitwayPipeline"]["dependencies"]

    variables = aws.resource("AWS::Lambda::Function", "SubmitJob").properties["Environment"]["Variables"]
    queues = {queue.properties["JobQueueName"] for queue in aws.resources("AWS::Batch::JobQueue")}
    definitions = {one.properties["JobDefinitionName"] for one in aws.resources("AWS::Batch::JobDefinition")}
    named = [json.loads(variables[f"GAITWAY_{kind}JOB_QUEUES"]).values() for kind in ("", "MULTI_NODE_")]
    assert {name for names in named for name in names} == queues
    named = [json.loads(variables[f"GAITWAY_{kind}JOB_DEFINITIONS"]) for kind in ("", "MULTI_NODE_")]
    assert {name for names in named for name in names.values()} == definitions


def taken_away(before: Synthesis, after: Synthesis) -> set[str]:
    """The exports that an update would remove, or change because their resource would be another one."""
    found = set()
    for stack, values in exported(before).items():
        for name, value in values.items():
            if name not in exported(after)[stack] or fixed(before, stack, value) != fixed(after, stack, value):
                found.add(name)
    return found


def fixed(synthesis: Synthesis, stack: str, value: object) -> dict[str, Any]:
    """What an update cannot change of the resources that a value refers to, and of those that these refer to."""
    found: dict[str, Any] = {}
    waiting = referred(value)
    while waiting:
        target = waiting.pop()
        resource = synthesis.templates[stack]["Resources"][target]
        of_it = {
            name: given
            for name, given in resource.get("Properties", {}).items()
            if name in REPLACES.get(resource["Type"], ())
        }
        found[target] = of_it
        waiting |= {one for one in referred(of_it) if one in synthesis.templates[stack]["Resources"]} - found.keys()
    return found


def referred(value: object) -> set[str]:
    """The resources that a value refers to."""
    match value:
        case {"Ref": str(target)} | {"Fn::GetAtt": [str(target), str()]}:
            return {target}
        case dict():
            return {target for part in value.values() for target in referred(part)}
        case list():
            return {target for part in value for target in referred(part)}
    return set()
