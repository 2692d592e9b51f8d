"""Answers of custom resources: docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.local.conformance.workflow import Workflow, until
from tests.local.emulator import Emulator

ANSWERS = """
    import json, urllib.request

    def handler(event, context):
        answer = {
            "Status": "SUCCESS", "PhysicalResourceId": "one", "StackId": event["StackId"],
            "RequestId": event["RequestId"], "LogicalResourceId": event["LogicalResourceId"],
            "Data": {"Text": "x" * int(event["ResourceProperties"]["Length"])},
        }
        body = json.dumps(answer).encode()
        urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], data=body, method="PUT")).close()
"""


@pytest.mark.parametrize(("length", "status"), [(3000, "CREATE_COMPLETE"), (4096, "ROLLBACK_COMPLETE")])
def test_an_answer_that_is_too_long_fails_its_resource(emulator: Emulator, length: int, status: str) -> None:
    function = Workflow(emulator).function(ANSWERS)
    arn = emulator.client("lambda").get_function_configuration(FunctionName=function)["FunctionArn"]
    resource = {"Type": "Custom::Long", "Properties": {"ServiceToken": arn, "Length": str(length)}}
    cloudformation, name = emulator.client("cloudformation"), f"long-{uuid.uuid4().hex[:8]}"
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": {"Long": resource}}))

    def stack_status() -> str:
        found: str = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        return found

    until(lambda: stack_status() in ("CREATE_COMPLETE", "ROLLBACK_COMPLETE"))
    assert stack_status() == status
    reasons = [
        event.get("ResourceStatusReason", "")
        for event in cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    ]
    assert any("Response object is too long" in reason for reason in reasons) is (status == "ROLLBACK_COMPLETE")
