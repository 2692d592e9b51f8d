"""What HyperPod clusters need of an account; stand-ins answer for Service Quotas and IAM."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from gaitway.cli.account.clusters import (
    look_at_cluster_quotas,
    look_at_cluster_roles,
    look_at_left_clusters,
    look_at_training_plan,
)
from gaitway.names import Names
from gaitway.settings import Settings

TOTAL = "Total number of instances allowed across SageMaker HyperPod clusters"
LARGEST = "Maximum number instances allowed per SageMaker HyperPod cluster"
WORKER, CONTROLLER = "ml.g6.12xlarge for cluster usage", "ml.m5.xlarge for cluster usage"
PLAN = "arn:aws:sagemaker:us-east-1:123456789012:training-plan/robots"
SLURM = Settings(
    backends=("batch", "hyperpod-slurm"),
    hyperpodClusters=("hyperpod-slurm",),
    slurmInstanceType="ml.g6.12xlarge",
    clusterNodes=4,
)
EKS = Settings(
    backends=("batch", "hyperpod-eks"),
    hyperpodClusters=("hyperpod-eks",),
    eksTeam="robots",
    eksInstanceType="ml.g6.12xlarge",
)


def client_of(service: str) -> Any:
    session: Any = boto3.Session(aws_access_key_id="none", aws_secret_access_key="none", region_name="us-east-1")
    return session.client(service)


@pytest.fixture
def quotas() -> Iterator[tuple[Any, Stubber]]:
    client = client_of("service-quotas")
    with Stubber(client) as stubber:
        yield client, stubber
        stubber.assert_no_pending_responses()


def answer(stubber: Stubber, values: dict[str, float], operation: str = "list_service_quotas") -> None:
    listed = [
        {"QuotaName": name, "QuotaCode": f"L-{number:08X}", "Value": value}
        for number, (name, value) in enumerate(values.items())
    ]
    stubber.add_response(operation, {"Quotas": listed}, {"ServiceCode": "sagemaker"})


def test_enough_for_a_clusters_nodes_and_its_controller_is_fine(quotas: tuple[Any, Stubber]) -> None:
    client, stubber = quotas
    answer(stubber, {"ml.p5.48xlarge for cluster usage": 0, WORKER: 4, CONTROLLER: 1, TOTAL: 5, LARGEST: 20})
    found = list(look_at_cluster_quotas(client, SLURM, ""))
    assert {one.state for one in found} == {"ok"}
    assert found[0].detail == f"4 of {WORKER} (L-00000001), of which the deployment takes 4"


def test_too_little_comes_with_the_request_for_more(quotas: tuple[Any, Stubber]) -> None:
    client, stubber = quotas
    answer(stubber, {WORKER: 0, TOTAL: 30, LARGEST: 20})
    workers, *rest = look_at_cluster_quotas(client, EKS, " --profile robots")
    assert (workers.state, {one.state for one in rest}) == ("problem", {"ok"})
    assert "so that its cluster cannot be made" in workers.detail
    command = "--service-code sagemaker --quota-code L-00000000 --desired-value 2 --profile robots`"
    assert workers.detail.endswith(command)


def test_a_quota_that_was_never_changed_has_its_default(quotas: tuple[Any, Stubber]) -> None:
    client, stubber = quotas
    answer(stubber, {WORKER: 2})
    answer(stubber, {WORKER: 0, TOTAL: 30, LARGEST: 20}, "list_aws_default_service_quotas")
    assert {one.state for one in look_at_cluster_quotas(client, EKS, "")} == {"ok"}


def test_a_type_that_sagemaker_has_no_quota_for_cannot_be_had(quotas: tuple[Any, Stubber]) -> None:
    client, stubber = quotas
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        answer(stubber, {TOTAL: 30, LARGEST: 20}, operation)
    workers, *_ = look_at_cluster_quotas(client, EKS, "")
    assert (workers.state, WORKER in workers.detail) == ("problem", True)


def test_reserved_instances_need_no_quota_of_their_type(quotas: tuple[Any, Stubber]) -> None:
    client, stubber = quotas
    answer(stubber, {WORKER: 0, CONTROLLER: 1, TOTAL: 30, LARGEST: 20})
    found = list(look_at_cluster_quotas(client, SLURM.model_copy(update={"training_plan_arn": PLAN}), ""))
    assert {one.state for one in found} == {"ok"}
    assert not any(WORKER in one.detail for one in found)


def test_without_a_cluster_nothing_is_looked_at() -> None:
    # No answer is prepared: a question would be an error.
    settings = Settings()
    assert list(look_at_cluster_quotas(client_of("service-quotas"), settings, "")) == []
    assert list(look_at_cluster_roles(client_of("iam"), settings, "")) == []


@pytest.mark.parametrize(
    ("services", "states"),
    [
        ((), ["note", "note"]),
        (("eks",), ["note"]),
        (("eks", "hyperpod.sagemaker"), ["ok"]),
    ],
)
def test_roles_that_are_missing_are_made_if_the_deployer_may(services: tuple[str, ...], states: list[str]) -> None:
    client = client_of("iam")
    roles = [
        {
            "Path": f"/aws-service-role/{service}.amazonaws.com/",
            "RoleName": "AWSServiceRole",
            "RoleId": "AROA0123456789012345",
            "Arn": f"arn:aws:iam::123456789012:role/aws-service-role/{service}.amazonaws.com/AWSServiceRole",
            "CreateDate": "2026-01-01T00:00:00Z",
        }
        for service in services
    ]
    with Stubber(client) as stubber:
        stubber.add_response("list_roles", {"Roles": roles, "IsTruncated": False})
        assert [one.state for one in look_at_cluster_roles(client, EKS, "")] == states


RESERVED = Settings(
    backends=("batch", "hyperpod-eks"),
    hyperpodClusters=("hyperpod-eks",),
    eksTeam="robots",
    eksInstanceType="ml.p5.4xlarge",
    trainingPlanArn=PLAN,
)


def plan_with(**changes: Any) -> dict[str, Any]:
    capacity = {
        "ReservedCapacityArn": "arn:aws:sagemaker:us-east-1:123456789012:reserved-capacity/abcdefghijklmnop",
        "InstanceType": "ml.p5.4xlarge",
        "TotalInstanceCount": changes.pop("instances", 2),
        "Status": "Active",
        "AvailabilityZone": changes.pop("zone", "us-east-1a"),
    }
    plan = {
        "TrainingPlanArn": PLAN,
        "TrainingPlanName": "robots",
        "Status": "Active",
        "TargetResources": ["hyperpod-cluster"],
        "ReservedCapacitySummaries": [capacity],
    }
    return plan | changes


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (plan_with(), None),
        (plan_with(Status="Scheduled"), None),
        (plan_with(Status="Expired"), "it is Expired: buy another one"),
        (plan_with(TargetResources=["training-job"]), "it is for training jobs"),
        (plan_with(instances=1), "it reserves 1 ml.p5.4xlarge, and clusterNodes is 2"),
        (
            plan_with(zone="us-east-1d"),
            "it is in us-east-1d, and nodes of one job are in us-east-1a: name its zone first",
        ),
    ],
)
def test_a_training_plan_has_what_the_cluster_takes_of_it(plan: dict[str, Any], words: str | None) -> None:
    client = client_of("sagemaker")
    with Stubber(client) as stubber:
        stubber.add_response("describe_training_plan", plan, {"TrainingPlanName": "robots"})
        [finding] = look_at_training_plan(client, RESERVED, "us-east-1a")
    assert finding.state == ("ok" if words is None else "problem")
    assert (words or "with 2 ml.p5.4xlarge in us-east-1a") in finding.detail


def test_a_training_plan_that_does_not_exist_is_named() -> None:
    client = client_of("sagemaker")
    with Stubber(client) as stubber:
        stubber.add_client_error("describe_training_plan", "ResourceNotFound")
        [finding] = look_at_training_plan(client, RESERVED, "us-east-1a")
    assert (finding.state, PLAN in finding.detail) == ("problem", True)


@pytest.mark.parametrize(("names", "stack"), [(Names(), "GaitwayHyperpodSlurm"), (Names("legs"), "legs-hyperpodslurm")])
def test_a_cluster_that_the_settings_no_longer_make_is_still_on_the_bill(names: Names, stack: str) -> None:
    stacks = [*names.stacks, stack]
    (found,) = look_at_left_clusters(stacks, EKS, names)
    assert found.state == "problem"
    assert found.detail.startswith(f"the stack {stack} is there")
    assert "`npx cdk destroy GaitwayHyperpodSlurm`" in found.detail
    assert list(look_at_left_clusters(stacks, SLURM, names)) == []
    assert list(look_at_left_clusters(names.stacks, EKS, names)) == []
