"""What each setting changes. Every synthesis here passes the checks of cdk-nag; `make lint` lints the templates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gaitway.runner.run import EXIT_FAILED
from gaitway.settings import load_settings
from tests.infra.conftest import Synthesise
from tests.infra.deployments import ADDRESS, BOUNDARY, ENVIRONMENT, settings_of
from tests.infra.templates import ROOT, Synthesis
from tests.infra.test_compute import definition, environments, gpus_of, network_interfaces, security_groups

Deployed = Callable[[str], Synthesis]


@pytest.fixture
def deployed(synthesise: Synthesise, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    """What one of the settings deploys, by its name."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return lambda name: synthesise(settings_of(name))


def test_spot_instances_are_tried_before_those_on_demand(deployed: Deployed) -> None:
    spot = deployed("spot")
    for queue, gpus in (("GpuQueue1", 1), ("GpuQueue4", 4)):
        first, second = environments(spot, queue)
        assert (first["Type"], first["AllocationStrategy"]) == ("SPOT", "SPOT_PRICE_CAPACITY_OPTIMIZED")
        assert (second["Type"], second["AllocationStrategy"]) == ("EC2", "BEST_FIT_PROGRESSIVE")
        assert gpus_of(first) == gpus_of(second) == {gpus}
    # AWS Batch runs no multi-node job there.
    assert {environment["Type"] for environment in environments(spot, "MultiNodeQueue")} == {"EC2"}


def test_a_job_on_spot_instances_is_attempted_more_often(deployed: Deployed) -> None:
    for name, attempts in (("on-demand", 3), ("spot", 5)):
        for type_ in ("container", "multinode"):
            properties = definition(deployed(name), type_)
            assert properties["RetryStrategy"] == {
                "Attempts": attempts,
                "EvaluateOnExit": [{"Action": "EXIT", "OnExitCode": str(EXIT_FAILED)}],
            }
        container = definition(deployed(name), "container")["ContainerProperties"]
        assert {"Name": "GAITWAY_JOB_ATTEMPTS", "Value": str(attempts)} in container["Environment"]


def test_a_warm_instance_is_the_smallest_and_where_the_next_job_goes(synthesise: Synthesise) -> None:
    settings = {"acceptNvidiaEula": "true", "keepWarmInstance": "true", "useSpot": "true"}
    warm = synthesise(load_settings(settings, ROOT))
    assert [environment["MinvCpus"] for environment in environments(warm, "GpuQueue")] == [8, 0, 0, 0]


def test_nodes_whose_instances_have_adapters_talk_through_them(deployed: Deployed) -> None:
    def adapters(synthesis: Synthesis) -> list[list[str]]:
        queue = environments(synthesis, "MultiNodeQueue")
        assert not any(network_interfaces(synthesis, item) for item in environments(synthesis, "GpuQueue"))
        return [[item["InterfaceType"] for item in network_interfaces(synthesis, environment)] for environment in queue]

    # A g6.2xlarge has none, a g6.8xlarge has one.
    assert adapters(deployed("on-demand")) == [[], ["efa"]]
    assert adapters(deployed("several-nodes")) == [["efa"], ["efa"]]
    # The VPC's default security group is not ours there.
    assert adapters(deployed("existing-vpc")) == [[], []]


def test_an_adapter_has_the_security_groups_of_the_nodes(deployed: Deployed) -> None:
    on_demand = deployed("on-demand")
    without, with_adapter = environments(on_demand, "MultiNodeQueue")
    assert "SecurityGroupIds" not in with_adapter
    assert security_groups(on_demand, with_adapter) == security_groups(on_demand, without)


def test_the_device_is_given_to_nodes_only_where_some_instance_has_it(deployed: Deployed) -> None:
    def devices(name: str) -> list[Any]:
        (node_range,) = definition(deployed(name), "multinode")["NodeProperties"]["NodeRangeProperties"]
        found: list[Any] = node_range["Container"]["LinuxParameters"].get("Devices", [])
        return found

    assert len(devices("on-demand")) == 1
    assert devices("existing-vpc") == []


def test_a_boundary_bounds_every_role(deployed: Deployed) -> None:
    roles = deployed("bounded").resources("AWS::IAM::Role")
    assert roles
    assert {role.properties.get("PermissionsBoundary") for role in roles} == {BOUNDARY}
    assert not any(
        "PermissionsBoundary" in role.properties for role in deployed("on-demand").resources("AWS::IAM::Role")
    )


def test_alarms_tell_the_address_that_the_settings_name(deployed: Deployed) -> None:
    assert deployed("on-demand").resources("AWS::SNS::Subscription") == []
    subscription = deployed("bounded").resource("AWS::SNS::Subscription").properties
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", ADDRESS)


def test_every_log_group_of_every_deployment_forgets(deployed: Deployed) -> None:
    for name in ("on-demand", "spot", "several-nodes", "existing-vpc", "bounded"):
        groups = deployed(name).resources("AWS::Logs::LogGroup")
        assert groups
        assert [group.name for group in groups if not group.properties.get("RetentionInDays")] == []
