"""What SageMaker's quotas of an account mean for a deployment; stand-ins answer for AWS."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from gaitway.cli.account.ml_quotas import InstanceNeed, deployed_training, look_at_ml_quotas, planned_training
from gaitway.installation import REPOSITORY_ROOT
from gaitway.names import DEFAULT_NAMES
from gaitway.settings import load_settings

NAME, CODE = "ml.g6.2xlarge for training job usage", "L-0123ABCD"
NEED = InstanceNeed("ml.g6.2xlarge", "training job usage", 4, "sagemakerMaxInstances", "nothing ever starts")


class Service:
    """A client with a stand-in that answers what is expected."""

    def __init__(self, name: str) -> None:
        session: Any = boto3.Session(aws_access_key_id="none", aws_secret_access_key="none", region_name="us-east-1")
        self.client = session.client(name)
        self.stubber = Stubber(self.client)


@pytest.fixture
def services() -> Iterator[dict[str, Service]]:
    made = {name: Service(name) for name in ("service-quotas", "ssm", "batch")}
    with ExitStack() as stack:
        for service in made.values():
            stack.enter_context(service.stubber)
        yield made
        for service in made.values():
            service.stubber.assert_no_pending_responses()


@pytest.fixture
def quotas(services: dict[str, Service]) -> Service:
    return services["service-quotas"]


def lists(quotas: Service, operation: str, **values: float) -> None:
    """Service Quotas lists these, by name."""
    listed = [{"QuotaName": name, "QuotaCode": CODE, "Value": value} for name, value in values.items()]
    quotas.stubber.add_response(operation, {"Quotas": listed}, {"ServiceCode": "sagemaker"})


@pytest.mark.parametrize(
    ("value", "state", "words"),
    [
        (0.0, "problem", f"nothing ever starts; request more: `aws service-quotas .* --quota-code {CODE}"),
        (1.0, "note", "1 instance for training job usage .* sagemakerMaxInstances is 4: others wait"),
        (4.0, "ok", rf"4 instances for training job usage \({CODE}\)"),
    ],
)
def test_a_quota_is_compared_with_what_may_be_started(quotas: Service, value: float, state: str, words: str) -> None:
    lists(quotas, "list_service_quotas", **{"ml.g6.2xlarge for endpoint usage": 9.0, NAME: value})
    [finding] = look_at_ml_quotas(quotas.client, [NEED], " --profile robots")
    assert (finding.subject, finding.state) == ("quota ml.g6.2xlarge", state)
    assert re.search(words, finding.detail)
    assert ("--desired-value 4 --profile robots`" in finding.detail) == (state != "ok")


def test_a_quota_that_nobody_has_changed_has_its_default(quotas: Service) -> None:
    lists(quotas, "list_service_quotas")
    lists(quotas, "list_aws_default_service_quotas", **{NAME: 0.0})
    [finding] = look_at_ml_quotas(quotas.client, [NEED], "")
    assert finding.state == "problem"


def test_a_quota_that_aws_does_not_list_is_named(quotas: Service) -> None:
    lists(quotas, "list_service_quotas")
    lists(quotas, "list_aws_default_service_quotas")
    [finding] = look_at_ml_quotas(quotas.client, [NEED], "")
    assert finding.state == "note"
    assert NAME in finding.detail


def planned(**given: str) -> list[tuple[str, int, bool]]:
    settings = load_settings({"acceptNvidiaEula": "true"} | given, REPOSITORY_ROOT)
    return [(need.quota, need.instances, need.is_problem) for need in planned_training(settings)]


def test_what_is_needed_follows_from_the_settings() -> None:
    sagemaker = {"backends": "batch,sagemaker", "sagemakerInstanceTypes": "ml.g5.2xlarge,ml.g5.12xlarge"}
    assert planned() == []
    assert planned(**sagemaker) == [
        ("ml.g5.2xlarge for training job usage", 4, True),
        ("ml.g5.12xlarge for training job usage", 4, True),
    ]
    only = sagemaker | {"sagemakerInstanceTypes": "ml.g5.12xlarge", "sagemakerMaxInstances": "2"}
    assert planned(**only, useSpot="true") == [("ml.g5.12xlarge for spot training job usage", 2, True)]
    assert planned(**only, sagemakerWarmSeconds="600") == [
        ("ml.g5.12xlarge for training job usage", 2, True),
        ("ml.g5.12xlarge for training warm pool usage", 2, False),
    ]


def test_what_a_deployment_needs_follows_from_what_is_deployed(services: dict[str, Service]) -> None:
    template = {
        "jobQueue": "gaitway-training",
        "attempts": 3,
        "instanceTypes": {"1": "ml.g6.2xlarge", "2": "ml.g6.12xlarge", "4": "ml.g6.12xlarge"},
        "images": {},
        "trainingJob": {"ResourceConfig": {"KeepAlivePeriodInSeconds": 600}},
    }
    services["ssm"].stubber.add_response(
        "get_parameter", {"Parameter": {"Value": json.dumps(template)}}, {"Name": DEFAULT_NAMES.training_template}
    )
    services["batch"].stubber.add_response(
        "describe_service_environments",
        {
            "serviceEnvironments": [
                {
                    "serviceEnvironmentName": DEFAULT_NAMES.training_environment,
                    "serviceEnvironmentArn": "arn:aws:batch:us-east-1:123456789012:service-environment/any",
                    "serviceEnvironmentType": "SAGEMAKER_TRAINING",
                    "capacityLimits": [{"maxCapacity": 8, "capacityUnit": "NUM_INSTANCES"}],
                }
            ]
        },
    )
    needs = deployed_training(services["ssm"].client, services["batch"].client, DEFAULT_NAMES)
    assert [(need.quota, need.instances) for need in needs] == [
        (f"{name} for {use}", 8)
        for name in ("ml.g6.2xlarge", "ml.g6.12xlarge")
        for use in ("training job usage", "training warm pool usage")
    ]


def test_a_deployment_without_sagemaker_needs_none_of_it(services: dict[str, Service]) -> None:
    services["ssm"].stubber.add_client_error("get_parameter", "ParameterNotFound", http_status_code=400)
    needs = deployed_training(services["ssm"].client, services["batch"].client, DEFAULT_NAMES)
    assert [*look_at_ml_quotas(services["service-quotas"].client, needs, "")] == []
