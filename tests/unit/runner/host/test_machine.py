"""What a job runs on, as its instance and the ECS agent tell; who tells nothing ends no run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gaitway.instances.prices import AS_OF
from gaitway.runner.host.environment import Environment
from gaitway.runner.host.hosts import host_of
from gaitway.runner.host.machine import read_machine
from gaitway.runner.host.task_metadata import Task, read_task
from tests.unit.runner.ecs_agent import IMAGE, ecs_agent, task


@pytest.fixture
def machine_file(tmp_path: Path) -> Path:
    path = tmp_path / "machine.json"
    path.write_text('{"instanceType": "g6.2xlarge", "purchase": "spot"}\n', encoding="utf-8")
    return path


def test_all_nodes_are_what_the_leading_ones_instance_is(machine_file: Path) -> None:
    machine = read_machine(machine_file, 4, {})
    assert machine is not None
    assert (machine.instance_type, machine.purchase, machine.nodes) == ("g6.2xlarge", "spot", 4)
    assert (machine.usd_per_hour, machine.price_as_of) == (0.9776, AS_OF)


def test_a_deployers_price_comes_first(machine_file: Path) -> None:
    variables = {
        "AWS_BATCH_JOB_ID": "job-1",
        "GAITWAY_EFS_ROOT": "/efs",
        "GAITWAY_INSTANCE_PRICES": '{"g6.2xlarge": 0.5}',
        "GAITWAY_MACHINE_FILE": str(machine_file),
        "GAITWAY_RUN_TABLE": "runs",
        "GAITWAY_METRICS_NAMESPACE": "Gaitway",
        "GAITWAY_SIMULATOR": "embedded",
    }
    machine = host_of(variables, lambda service: None).machine(1, Environment.of(variables).instance_prices)
    assert machine is not None
    assert (machine.usd_per_hour, machine.price_as_of) == (0.5, "setting")


def test_a_machine_without_a_price_is_known_nevertheless(tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    path.write_text('{"instanceType": "g99.large"}', encoding="utf-8")
    machine = read_machine(path, 1, {})
    assert machine is not None
    assert (machine.instance_type, machine.usd_per_hour, machine.price_as_of) == ("g99.large", None, None)


@pytest.mark.parametrize("content", [None, "", "{", '{"instanceType": 7}', "\xff"])
def test_a_file_that_says_nothing_is_no_error(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "machine.json"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    assert read_machine(path, 1, {}) is None
    assert read_machine(None, 1, {}) is None


def test_the_agent_tells_when_the_image_was_pulled_and_which_one_it_is() -> None:
    with ecs_agent(task("2026-11-21T10:00:01.123456789Z", "2026-11-21T10:06:00Z")) as address:
        found = read_task(address)
    assert found.pull_started_at == datetime(2026, 11, 21, 10, 0, 1, 123456, tzinfo=UTC)
    assert found.pull_stopped_at == datetime(2026, 11, 21, 10, 6, tzinfo=UTC)
    assert found.image == IMAGE


def test_an_image_that_is_named_by_a_tag_is_told_with_its_digest() -> None:
    found = Task.model_validate_json('{"Containers": [{"Image": "robots/isaac:7", "ImageID": "sha256:abc"}]}')
    assert found.image == "robots/isaac:7 (sha256:abc)"


@pytest.mark.parametrize("answer", ["", "not found", '{"PullStartedAt": "soon"}', "[]"])
def test_an_agent_that_answers_something_else_is_no_error(answer: str) -> None:
    with ecs_agent(answer) as address:
        assert read_task(address) == Task()


@pytest.mark.parametrize("address", [None, "http://127.0.0.1:9/v4", "http://127.0.0.1:9/nowhere"])
def test_where_there_is_no_agent_nothing_is_known(address: str | None) -> None:
    assert read_task(address) == Task()
    assert Task().image is None
