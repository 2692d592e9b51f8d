"""What deployments may be called, and what they call their parts."""

from __future__ import annotations

import pytest

from gaitway.names import MAX_CHARACTERS, Names, check_deployment_name


@pytest.mark.parametrize("name", ["gaitway", "dev", "a1", "legs-dev-2", "x" * MAX_CHARACTERS])
def test_a_name_that_every_service_takes_is_taken(name: str) -> None:
    assert check_deployment_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "a", "1a", "-a", "a-", "a--b", "Dev", "dev_1", "dev.1", "dev\n", "ähre", "x" * (MAX_CHARACTERS + 1)]
)
def test_any_other_is_refused_in_words(name: str) -> None:
    with pytest.raises(ValueError, match="2 to 32 lower-case letters, digits and single hyphens"):
        check_deployment_name(name)


@pytest.mark.parametrize("name", ["vams", "my-vams-2"])
def test_no_name_opens_all_functions_to_vams(name: str) -> None:
    with pytest.raises(ValueError, match="VAMS may call every function"):
        check_deployment_name(name)


@pytest.mark.parametrize("name", ["aws-lab", "ssm", "amzn-s3-demo-legs", "sthree-legs"])
def test_no_name_begins_as_parameters_and_buckets_must_not(name: str) -> None:
    with pytest.raises(ValueError, match=r"must not begin with '[a-z0-9-]+': AWS refuses"):
        check_deployment_name(name)


def test_the_deployment_without_a_name_of_its_own_needs_no_option() -> None:
    assert (Names().option, Names("dev").option) == ("", " --deployment dev")
    assert Names().stacks == ("GaitwayNetwork", "GaitwayStorage", "GaitwayCompute", "GaitwayPipeline")
    assert Names("dev").stacks == ("dev-network", "dev-storage", "dev-compute", "dev-pipeline")


def test_vams_may_call_launch_and_nothing_else() -> None:
    assert Names("dev").function("launch") == "vams-dev-launch"
    assert Names("dev").function("construct_run") == "dev-construct-run"
