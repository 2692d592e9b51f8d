"""What a pod of a PyTorchJob knows of its job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gaitway.runner.host.eks import EksHost
from gaitway.runner.host.host import Host, Nodes
from gaitway.runner.host.hosts import host_of


def host(directory: Path, **variables: str) -> Host:
    def nobody(service: str) -> Any:
        raise AssertionError(f"{service} is not needed")

    given = {
        "GAITWAY_BACKEND": "hyperpod-eks",
        "GAITWAY_JOB_OBJECT": "run-1-1",
        "GAITWAY_JOB_NAMESPACE": "hyperpod-ns-robots",
        "GAITWAY_JOB_ATTEMPTS": "2",
        "GAITWAY_POD_DIRECTORY": str(directory),
        "GAITWAY_KUBERNETES_API": "https://127.0.0.1:9",
        "GAITWAY_SERVICE_ACCOUNT": str(directory),
    }
    return host_of(given | variables, nobody)


def test_the_operator_says_which_pod_this_is(tmp_path: Path) -> None:
    found = host(tmp_path, WORLD_SIZE="3", RANK="2", MASTER_ADDR="run-1-1-master-0", MASTER_PORT="29400")
    assert found.job_id == "hyperpod-eks/run-1-1"
    assert found.nodes == Nodes(count=3, index=2, main_index=0, main_address="run-1-1-master-0", port=29_400)
    assert not found.nodes.is_main
    assert host(tmp_path, WORLD_SIZE="1", RANK="0").nodes.is_main


def test_each_container_of_a_pod_is_an_attempt_and_the_last_one_is_known(tmp_path: Path) -> None:
    first, second = host(tmp_path), host(tmp_path)
    assert (first.attempt, first.attempt, first.may_be_attempted_again) == (1, 1, True)
    assert (second.attempt, second.may_be_attempted_again) == (2, False)
    assert host(tmp_path / "another", GAITWAY_POD_DIRECTORY=str(_made(tmp_path / "another"))).attempt == 1


def test_without_an_answer_of_the_api_a_job_that_is_stopped_counts_as_ended(tmp_path: Path) -> None:
    assert not host(tmp_path).is_attempted_again_after_stop()
    (tmp_path / "token").write_text("t")
    assert not host(tmp_path, GAITWAY_KUBERNETES_API="http://127.0.0.1:9").is_attempted_again_after_stop()


def test_the_machine_is_the_one_that_the_manifest_chose(tmp_path: Path) -> None:
    machine = host(tmp_path, GAITWAY_INSTANCE_TYPE="ml.g6.12xlarge").machine(2, {"ml.g6.12xlarge": 5.5})
    assert machine is not None
    assert (machine.instance_type, machine.nodes, machine.usd_per_hour) == ("ml.g6.12xlarge", 2, 5.5)
    assert host(tmp_path).machine(1, {}) is None


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValidationError, match="GAITWAY_JOB_OBJECT"):
        EksHost.of({}, lambda service: None)


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory
