"""What the quotas of an account mean for a deployment; a stand-in answers for Service Quotas."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from gaitway.cli.account.quotas import look_at_quotas

ON_DEMAND, SPOT = "L-DB2E81BA", "L-3819A6DF"


@pytest.fixture(scope="module")
def client() -> Any:
    session: Any = boto3.Session(aws_access_key_id="none", aws_secret_access_key="none", region_name="us-east-1")
    return session.client("service-quotas")


@pytest.fixture
def stand_in(client: Any) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def answer(stand_in: Stubber, code: str, vcpus: float) -> None:
    request = {"ServiceCode": "ec2", "QuotaCode": code}
    stand_in.add_response("get_service_quota", {"Quota": {"QuotaCode": code, "Value": vcpus}}, request)


def environment(kind: str, max_vcpus: int, *types: str, state: str = "ENABLED") -> Any:
    return {"state": state, "computeResources": {"type": kind, "maxvCpus": max_vcpus, "instanceTypes": list(types)}}


@pytest.mark.parametrize(
    ("vcpus", "state", "words"),
    [
        (0.0, "problem", "the smallest instance has 8: no job that needs one ever starts"),
        (4.0, "problem", "--desired-value 96 --profile robots`"),
        (8.0, "note", "a compute environment may have 96: runs that need more of them at a time wait"),
        (96.0, "ok", "96 vCPUs of G and VT instances (L-DB2E81BA)"),
    ],
)
def test_a_quota_is_compared_with_what_may_be_started(
    client: Any, stand_in: Stubber, vcpus: float, state: str, words: str
) -> None:
    answer(stand_in, ON_DEMAND, vcpus)
    environments = [environment("EC2", 96, "g6.2xlarge", "g6.12xlarge"), environment("EC2", 48, "g6.12xlarge")]

    [finding] = look_at_quotas(client, environments, " --profile robots")

    assert (finding.subject, finding.state) == ("quota on-demand", state)
    assert words in finding.detail


def test_without_a_quota_for_spot_instances_runs_go_on_on_demand(client: Any, stand_in: Stubber) -> None:
    answer(stand_in, ON_DEMAND, 96)
    answer(stand_in, SPOT, 0)

    findings = [
        *look_at_quotas(client, [environment("EC2", 96, "g6.2xlarge"), environment("SPOT", 96, "g6.2xlarge")], "")
    ]

    assert [(finding.subject, finding.state) for finding in findings] == [
        ("quota on-demand", "ok"),
        ("quota Spot", "note"),
    ]
    assert f"--quota-code {SPOT}" in findings[1].detail


def test_a_quota_that_nobody_has_changed_has_its_default(client: Any, stand_in: Stubber) -> None:
    stand_in.add_client_error("get_service_quota", "NoSuchResourceException", http_status_code=400)
    stand_in.add_response("get_aws_default_service_quota", {"Quota": {"Value": 0.0}})
    [finding] = look_at_quotas(client, [environment("EC2", 96, "g6.2xlarge")], "")
    assert finding.state == "problem"


def test_what_is_disabled_needs_no_quota(client: Any) -> None:
    assert [*look_at_quotas(client, [environment("EC2", 96, "g6.2xlarge", state="DISABLED")], "")] == []
