"""An input file's way from the request to the simulator: a field that is marked is all that it takes."""

from __future__ import annotations

import fnmatch
import json
import logging
from pathlib import Path
from typing import Annotated, Any

import pytest

from gaitway.contracts.errors import InputNotFoundError
from gaitway.contracts.inputs import AssetPath, Input, local_name
from gaitway.contracts.pipeline import ConstructRunEvent
from gaitway.contracts.request import Request, validate
from gaitway.contracts.workload import TrainingConfig
from gaitway.runner.host.session import run_policies
from gaitway.runner.inputs.prepare import prepare
from gaitway.runner.stop import StopRequest
from lambdas.construct_run import logic
from lambdas.construct_run.inputs import Inputs
from tests.local.control_plane.world import BACKENDS, World


class RewardedConfig(TrainingConfig):
    """A training with a reward of its own: the field, and nothing else."""

    reward_path: Annotated[AssetPath | None, Input("reward")] = None


class RewardedRequest(Request):
    """A request for one."""

    training_config: RewardedConfig


@pytest.fixture(autouse=True)
def rewarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ConstructRun read requests with the further field."""
    monkeypatch.setattr(logic, "parse_request", lambda request, _: validate(RewardedRequest, request))


def construct(world: World, path: str) -> None:
    """Construct a run whose request names a reward, relative to the folder `a/`."""
    file = f"s3://{world.bucket}/a/robot.usd"
    world.launched(inputS3AssetFilePath=file, inputParameters={"trainingConfig": {"maxIterations": 5}})
    started: dict[str, Any] = json.loads(world.describe(world.record.execution_arn or "")["input"])
    started["message"]["request"] = {"trainingConfig": {"rewardPath": path}}
    event = ConstructRunEvent.receive(started | {"execution_arn": world.record.execution_arn})
    logic.ConstructRun(world.table, Inputs(world.s3), BACKENDS, ("embedded",)).handle(event)


def test_one_more_input_is_found_may_be_read_and_reaches_the_simulator(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reward = world.put("a/rewards/reward.py", b"def reward(): ...")
    construct(world, "rewards/reward.py")

    spec = world.record.spec
    assert spec is not None
    file = spec.inputs["reward"]
    assert (file.uri, file.size) == (reward, 17)

    for policy in run_policies(world.record, "aws", "Gaitway"):
        (read,) = [one["Resource"] for one in json.loads(policy)["Statement"] if one["Action"] == ["s3:GetObject"]]
        assert any(fnmatch.fnmatchcase(f"arn:aws:s3:::{world.bucket}/{reward.key}", resource) for resource in read)

    with caplog.at_level(logging.WARNING):
        job = prepare(spec, tmp_path, world.s3, StopRequest()).job
    assert job.inputs.keys() == {"reward"}
    assert job.inputs["reward"].read_bytes() == b"def reward(): ..."
    assert "has changed" not in caplog.text

    world.put(reward.key, b"def reward(): return 1")
    with caplog.at_level(logging.WARNING):
        prepare(spec, tmp_path, world.s3, StopRequest())
    assert f"the reward has changed since the run was accepted: {reward}" in caplog.text


def test_one_that_does_not_exist_is_refused_before_a_machine_is_paid_for(world: World) -> None:
    with pytest.raises(InputNotFoundError, match=r"trainingConfig\.rewardPath is 'no\.py', which cannot be read"):
        construct(world, "no.py")


@pytest.mark.parametrize("name", ["n" * 300 + ".pt", "ü" * 200 + ".pt", "n" * 241])
def test_a_name_that_no_file_system_takes_gets_one_of_ours(world: World, tmp_path: Path, name: str) -> None:
    world.put(f"a/{name}", b"def reward(): ...")
    construct(world, name)
    spec = world.record.spec
    assert spec is not None

    fetched = prepare(spec, tmp_path, world.s3, StopRequest()).job.inputs["reward"]

    assert fetched.read_bytes() == b"def reward(): ..."
    assert fetched.suffix == Path(name).suffix
    assert len(fetched.name.encode()) < 100


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model_9.pt", "model_9.pt"),
        ("é" * 120, "é" * 120),
        ("..", "input"),
        (".", "input"),
        ("", "input"),
    ],
)
def test_every_other_name_stays(name: str, expected: str) -> None:
    assert local_name(name) == expected


def test_the_end_of_a_long_name_stays_and_long_names_differ() -> None:
    first, second = local_name("a" * 300 + "_ep_75.pth"), local_name("b" + "a" * 300 + "_ep_75.pth")
    assert first.endswith("_ep_75.pth")
    assert first != second
