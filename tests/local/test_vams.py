"""Registration with VAMS: the real template, function and policies, and a stand-in for VAMS's own function."""

from __future__ import annotations

import json
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from gaitway.contracts.request import parse_request
from lambdas.register_with_vams import handler
from lambdas.register_with_vams.event import RegistrationEvent
from lambdas.register_with_vams.logic import Registrar, RegistrationError
from tests.infra.deployments import new_app
from tests.local import vams_stand_in
from tests.local.conformance.test_lambda import archive
from tests.local.conformance.workflow import ROLE_ARN, Workflow, create_any_role
from tests.local.emulator import Emulator
from tests.local.one_stack import SETTINGS, Json, OneStack, answers_received
from tests.unit.lambdas.test_handlers import CONTEXT

PIPELINES = {"isaaclab-training", "isaaclab-evaluation"}


class Vams:
    """VAMS, as far as it knows pipelines."""

    def __init__(self, emulator: Emulator) -> None:
        self.function = f"vams-core-importGlobalPipelineWorkflow-{uuid.uuid4().hex[:8]}"
        self.lambda_ = emulator.client("lambda")
        self._s3 = emulator.client("s3")
        self._bucket = f"vams-{uuid.uuid4().hex[:8]}"
        self._s3.create_bucket(Bucket=self._bucket)
        create_any_role(emulator.client("iam"))
        self.lambda_.create_function(
            FunctionName=self.function,
            Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
            Role=ROLE_ARN,
            Handler="index.handler",
            Code={"ZipFile": archive(**{"index.py": Path(vams_stand_in.__file__).read_text(encoding="utf-8")})},
            Environment={"Variables": {"BUCKET": self._bucket}},
        )

    def pipelines(self) -> dict[str, Json]:
        """Return what it knows of each pipeline."""
        found = self._s3.list_objects_v2(Bucket=self._bucket).get("Contents", [])
        return {
            entry["Key"]: json.loads(self._s3.get_object(Bucket=self._bucket, Key=entry["Key"])["Body"].read())
            for entry in found
        }


@pytest.fixture(scope="module")
def vams(emulator: Emulator) -> Vams:
    return Vams(emulator)


@pytest.fixture(scope="module")
def stack(emulator: Emulator, vams: Vams, tmp_path_factory: pytest.TempPathFactory) -> OneStack:
    """The part of our stacks that registers."""
    import aws_cdk as cdk
    from aws_cdk import aws_lambda as lambda_

    from stacks.components.lambda_code import LibraryLayer
    from stacks.components.vams import VamsRegistration

    stack = cdk.Stack(new_app(tmp_path_factory.mktemp("vams")), "RegisteredWithVams")
    launch = lambda_.Function(
        stack,
        "Launch",
        function_name="vams-gaitway-launch-of-one-stack",
        runtime=lambda_.Runtime.PYTHON_3_14,
        code=lambda_.Code.from_inline("def handler(event, context): pass"),
        handler="index.handler",
    )
    layer = LibraryLayer(stack, "Libraries", SETTINGS)
    VamsRegistration(stack, "Vams", SETTINGS, import_function_name=vams.function, launch=launch, layer=layer)
    return OneStack(emulator, stack)


def changed(template: Json, **properties: str) -> Json:
    """Return the template with another training pipeline."""
    document: Json = json.loads(json.dumps(template))
    for resource in document["Resources"].values():
        if resource["Type"] == "Custom::VamsPipeline" and resource["Properties"]["assetType"] == ".all":
            resource["Properties"] |= properties
    return document


def test_without_vams_the_deployment_fails_and_says_which_name_is_wrong(stack: OneStack, vams: Vams) -> None:
    elsewhere = json.loads(json.dumps(stack.template).replace(vams.function, "vams-elsewhere"))
    assert "ROLLBACK" in stack.deploy(elsewhere)["StackStatus"]
    said = "vamsImportFunctionName is 'vams-elsewhere', but this function does not exist"
    assert any(said in reason for reason in stack.reasons()), stack.reasons()
    stack.delete()


def test_pipelines_come_change_and_go_with_the_stack(stack: OneStack, vams: Vams) -> None:
    assert stack.deploy(stack.template)["StackStatus"] == "CREATE_COMPLETE"
    registered = vams.pipelines()
    assert set(registered) == PIPELINES
    for name, properties in registered.items():
        assert properties["lambdaName"] == "vams-gaitway-launch-of-one-stack"
        assert properties["workflowId"] == name
        assert parse_request(properties["inputParameters"]).training_config.task == "Isaac-Cartpole-Direct-v0"

    assert stack.deploy(changed(stack.template, pipelineDescription="Other words"))["StackStatus"] == "UPDATE_COMPLETE"
    assert vams.pipelines()["isaaclab-training"]["pipelineDescription"] == "Other words"

    # In VAMS's own words; what was there before stays.
    assert "ROLLBACK" in stack.deploy(changed(stack.template, outputType="pt"))["StackStatus"]
    assert any("outputType must be a valid file extension" in reason for reason in stack.reasons()), stack.reasons()
    assert vams.pipelines()["isaaclab-training"]["outputType"] == ".pt"

    stack.delete()
    assert vams.pipelines() == {}


def request(vams: Vams, **properties: str) -> Json:
    """Return what CloudFormation sends."""
    described = dict.fromkeys(vams_stand_in.ASKED_FOR, ".") | {
        "pipelineType": "standardFile",
        "pipelineExecutionType": "Lambda",
        "waitForCallback": "Enabled",
        "taskTimeout": "2",
        "taskHeartbeatTimeout": "1",
        "inputParameters": "{}",
        "inlineBundle": "{}",
        "pipelineId": "by-hand",
        "importFunctionName": vams.function,
    }
    return {
        "RequestType": "Create",
        "RequestId": "1",
        "ResponseURL": "https://cloudformation/secret",
        "StackId": "stack",
        "LogicalResourceId": "Training",
        "ResourceProperties": described | {"ServiceToken": "arn"} | properties,
    }


def event(vams: Vams, **properties: str) -> RegistrationEvent:
    return RegistrationEvent.model_validate(request(vams, **properties))


def test_what_is_registered_already_is_registered_again(vams: Vams) -> None:
    registrar = Registrar(vams.lambda_)
    registrar.register(event(vams))
    registrar.register(event(vams))
    assert set(vams.pipelines()) == {"by-hand"}
    registrar.remove(event(vams))
    assert vams.pipelines() == {}


def test_a_function_of_vams_that_was_not_called_for_weeks_is_called_until_it_is_awake(
    emulator: Emulator, vams: Vams
) -> None:
    Workflow(emulator).rest(vams.function, waking_seconds=1)
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        time.sleep(0.5)

    registrar = Registrar(vams.lambda_, sleep)
    registrar.register(event(vams))
    assert set(vams.pipelines()) == {"by-hand"}
    assert set(pauses) == {5.0}
    registrar.remove(event(vams))


def test_what_vams_has_from_elsewhere_survives_a_registration_that_fails(
    vams: Vams, monkeypatch: pytest.MonkeyPatch
) -> None:
    registrar = Registrar(vams.lambda_)
    registrar.register(event(vams))
    monkeypatch.setattr(handler, "_registrar", lambda: registrar)
    with answers_received() as (url, answers):
        create = request(vams, outputType="pt") | {"ResponseURL": url}
        handler.handler(create, CONTEXT)
        failed = answers.get(timeout=10)
        assert failed["Status"] == "FAILED"
        # CloudFormation takes back what it could not create.
        delete = create | {"RequestType": "Delete", "PhysicalResourceId": failed["PhysicalResourceId"]}
        handler.handler(delete, CONTEXT)
        assert answers.get(timeout=10)["Status"] == "SUCCESS"
    assert set(vams.pipelines()) == {"by-hand"}
    registrar.remove(event(vams))


def test_a_stack_goes_where_vams_has_gone_already(vams: Vams) -> None:
    Registrar(vams.lambda_).remove(event(vams, importFunctionName="vams-gone"))


def test_an_error_of_vams_itself_is_told(vams: Vams) -> None:
    with pytest.raises(RegistrationError, match=r"refused by-hand: .*(Expecting value|JSONDecodeError)"):
        Registrar(vams.lambda_).register(event(vams, inputParameters="no JSON"))


def test_the_address_of_the_answer_is_in_no_representation_and_reaches_nobody(vams: Vams) -> None:
    asked = event(vams)
    assert "secret" not in repr(asked)
    told: list[Any] = []
    vams.lambda_.meta.events.register("before-call.lambda.Invoke", lambda params, **_: told.append(params["body"]))
    Registrar(vams.lambda_).register(asked)
    Registrar(vams.lambda_).remove(asked)
    assert len(told) == 2
    assert "secret" not in str(told)
