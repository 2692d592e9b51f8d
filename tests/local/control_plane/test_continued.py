"""A run that continues another one, from the request to the simulator's job: real trainings of every library."""

from __future__ import annotations

import fnmatch
import io
import json
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gaitway.contracts.artifacts import CHECKPOINTS, run_directory
from gaitway.contracts.errors import GaitwayError, InputNotFoundError, RequestError
from gaitway.contracts.inputs import CUSTOM_ENVIRONMENT, InputFile
from gaitway.contracts.model import S3Uri
from gaitway.contracts.pipeline import ConstructRunEvent
from gaitway.contracts.request import ComputeConfig
from gaitway.contracts.run import RunRecord, RunSpec, RunState, run_id_of_digest
from gaitway.contracts.workload import AnyConfig, EvaluationConfig, TrainingConfig
from gaitway.libraries import RlLibrary
from gaitway.outputs.files import outputs
from gaitway.runner.host.session import run_policies
from gaitway.runner.inputs.prepare import Prepared, prepare
from gaitway.runner.stop import StopRequest
from gaitway.simulators.embedded.__main__ import main
from gaitway.workloads.checkpoints import newest
from lambdas.construct_run.inputs import Inputs
from lambdas.construct_run.logic import ConstructRun
from tests.checkpoints import EXPORTED, checkpoint
from tests.local.control_plane.world import BACKENDS, World
from tests.unit.simulators.jobs import LIBRARIES, NUM_ENVS, TASK, networks, run_here, updates

OLDER = run_id_of_digest("0123456789abcdef01234567")


@dataclass(frozen=True)
class Older:
    """A run that has ended, with what it left."""

    library: RlLibrary
    directory: Path

    @property
    def training(self) -> TrainingConfig:
        """Its request."""
        return TrainingConfig(
            task=TASK, rl_library=self.library, num_envs=NUM_ENVS, max_iterations=3, checkpoint_interval=1, seed=7
        )


@pytest.fixture(scope="module", params=LIBRARIES)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Older:
    """A training of three iterations."""
    older = Older(request.param, tmp_path_factory.mktemp(f"{request.param}-older"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert run_here(monkeypatch, older.directory, older.training.model_dump(mode="json", by_alias=True)) == 0
    return older


def leave(world: World, training: AnyConfig, state: RunState = RunState.SUCCEEDED, **fields: Any) -> RunSpec:
    """Put a run into the table, as it is after its end."""
    now = datetime.now(UTC)
    spec = RunSpec(
        run_id=OLDER,
        training=training,
        compute=ComputeConfig(),
        output_files=S3Uri(world.bucket, "older/"),
        **fields,
    )
    record = RunRecord(run_id=OLDER, state=state, created_at=now, updated_at=now, spec=spec, execution_arn="e")
    assert world.table.accept(record, "token", instead_of=None)
    return spec


def upload(world: World, spec: RunSpec, directory: Path) -> None:
    for name, path in outputs(directory, spec.training):
        world.put((spec.output_files / name).key, path.read_bytes())


def construct(world: World, **training: Any) -> RunSpec:
    """Launch and construct a run that continues the older one."""
    request = {"trainingConfig": {"resumeFrom": OLDER} | training}
    world.launched(inputParameters=json.dumps(request))
    started = json.loads(world.describe(world.record.execution_arn or "")["input"])
    event = ConstructRunEvent.receive(started | {"execution_arn": world.record.execution_arn})
    ConstructRun(world.table, Inputs(world.s3), BACKENDS, ("embedded",)).handle(event)
    spec = world.record.spec
    assert spec is not None
    return spec


def training_of(spec: RunSpec) -> TrainingConfig:
    assert isinstance(spec.training, TrainingConfig)
    return spec.training


def refusal(world: World, kind: type[GaitwayError] = RequestError, **training: Any) -> str:
    with pytest.raises(kind) as caught:
        construct(world, **training)
    assert type(caught.value) is kind
    return str(caught.value)


def simulate(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.chdir(prepared.directory)
    return main(["simulation.json"])


def test_a_run_goes_on_with_optimiser_normalisers_and_iterations(
    world: World, trained: Older, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(world, leave(world, trained.training), trained.directory)
    spec = construct(world, furtherIterations=2)
    training = training_of(spec)
    assert (training.max_iterations, training.seed, training.rl_library) == (5, 7, trained.library)
    assert world.record.parent_run_id == OLDER

    prepared = prepare(spec, tmp_path, world.s3, StopRequest())
    assert prepared.continue_from is not None
    assert prepared.continue_from.iterations == 3
    assert prepared.job.inputs.keys() == {"agent_settings"}
    assert simulate(prepared, monkeypatch) == 0

    before, after = newest(trained.directory, trained.library), newest(prepared.directory, trained.library)
    assert before is not None
    assert after is not None
    assert after.iterations == 5
    # The optimiser has counted on: two iterations more, of three.
    assert updates(trained.library, after.path) * 3 == updates(trained.library, before.path) * 5
    same = networks(trained.library, prepared.continue_from.path)
    assert all(tensor.equal(same[name]) for name, tensor in networks(trained.library, before.path).items())

    # After an interruption, its own checkpoint counts.
    again = prepare(spec, tmp_path, world.s3, StopRequest())
    assert again.continue_from == after


def test_its_session_may_read_what_it_continues_and_nothing_else_of_that_run(world: World, trained: Older) -> None:
    older = leave(world, trained.training)
    upload(world, older, trained.directory)
    spec = construct(world, furtherIterations=2)
    for policy in run_policies(world.record, "aws", "Gaitway"):
        (read,) = [one["Resource"] for one in json.loads(policy)["Statement"] if one["Action"] == ["s3:GetObject"]]
        assert len(read) == len(spec.inputs)
        for file in spec.inputs.values():
            arn = f"arn:aws:s3:::{file.uri.bucket}/{file.uri.key}"
            assert any(fnmatch.fnmatchcase(arn, resource) for resource in read)
    assert not any(name.startswith("exported") for name in spec.inputs)


def test_a_checkpoint_that_is_damaged_after_it_was_looked_at_is_named(world: World, tmp_path: Path) -> None:
    leave(world, Older("rsl_rl", tmp_path).training)
    damaged = world.put(f"older/{CHECKPOINTS}model_9.pt")
    spec = construct(world, furtherIterations=2)
    world.put(damaged.key, b"PK damaged")
    with pytest.raises(GaitwayError, match=str(damaged)):
        prepare(spec, tmp_path, world.s3, StopRequest())
    assert run_directory(tmp_path, spec.run_id).is_dir()


@pytest.mark.parametrize(
    ("state", "training", "said"),
    [
        (RunState.ACCEPTED, TrainingConfig(), f"{OLDER}, which is still being started: wait until it has ended"),
        (RunState.QUEUED, TrainingConfig(), f"{OLDER}, which is still queued: wait until it has ended, or cancel it"),
        (RunState.RUNNING, TrainingConfig(), f"{OLDER}, which is still running: wait until it has ended, or cancel it"),
        (RunState.SUCCEEDED, EvaluationConfig(), f"{OLDER}, whose mode is evaluate, allowed: a training"),
    ],
)
def test_a_run_that_is_not_a_finished_training_is_refused(
    world: World, state: RunState, training: AnyConfig, said: str
) -> None:
    leave(world, training, state)
    assert said in refusal(world)


def test_a_run_that_does_not_exist_is_refused(world: World) -> None:
    assert f"resumeFrom is {OLDER}, but this deployment has no such run" in refusal(world)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"task": "Isaac-Cartpole-v0"},
            f"task is 'Isaac-Cartpole-v0', but {OLDER} trained with '{TASK}'",
        ),
        ({"rlLibrary": "skrl"}, f"rlLibrary is 'skrl', but {OLDER} trained with 'rsl_rl': leave it out"),
        ({"maxIterations": 10}, "maxIterations is 10, which"),
        ({"maxIterations": 3}, "(10 iterations): it counts in total, so give more than 10, or for 500 more further"),
        ({}, "maxIterations is 3, which"),
        ({"furtherIterations": 10_000_000}, "furtherIterations is 10000000, and"),
    ],
)
def test_settings_that_do_not_fit_are_refused(world: World, tmp_path: Path, asked: dict[str, Any], said: str) -> None:
    leave(world, Older("rsl_rl", tmp_path).training)
    world.put(f"older/{CHECKPOINTS}model_9.pt")
    assert said in refusal(world, **asked)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "holds nothing"),
        (["agent_32.pt"], "holds only agent_32.pt, and not what rsl_rl saves"),
        (["policy.pt", "best.pt"], "holds only best.pt, policy.pt"),
    ],
)
def test_a_run_without_a_checkpoint_is_refused(world: World, tmp_path: Path, names: list[str], said: str) -> None:
    leave(world, Older("rsl_rl", tmp_path).training, RunState.FAILED)
    for name in names:
        world.put(f"older/{CHECKPOINTS}{name}")
    assert said in refusal(world, InputNotFoundError, furtherIterations=5)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "an empty file"),
        (checkpoint()[:9000], "incomplete or damaged"),
        (checkpoint("skrl"), "a checkpoint of skrl, but trainingConfig.rlLibrary is 'rsl_rl'"),
        (EXPORTED.read_bytes(), "an exported policy"),
    ],
)
def test_a_newest_checkpoint_that_is_none_is_refused(world: World, tmp_path: Path, body: bytes, said: str) -> None:
    leave(world, Older("rsl_rl", tmp_path).training)
    world.put(f"older/{CHECKPOINTS}model_8.pt")
    newest = world.put(f"older/{CHECKPOINTS}model_9.pt", body)
    message = refusal(world, furtherIterations=5)
    assert message.startswith(f"trainingConfig.resumeFrom is {newest}, which is")
    assert said in message


@pytest.mark.parametrize(
    ("library", "asked", "said"),
    [
        ("sb3", {"numEnvs": 32}, f"numEnvs is 32, but {OLDER} trained with 16"),
        ("sb3", {"hydraOverrides": ["agent.n_steps=8"]}, "agent.n_steps is 8, but"),
        ("skrl", {"hydraOverrides": ["agent.agent.rollouts=8"]}, "agent.agent.rollouts is 8, but"),
    ],
)
def test_settings_by_which_a_library_counts_must_stay(
    world: World, tmp_path: Path, library: RlLibrary, asked: dict[str, Any], said: str
) -> None:
    leave(world, Older(library, tmp_path).training)
    assert said in refusal(world, furtherIterations=5, **asked)


def test_steps_that_nothing_translates_into_iterations_are_refused(world: World, tmp_path: Path) -> None:
    leave(world, Older("skrl", tmp_path).training)
    world.put(f"older/{CHECKPOINTS}agent_96.pt")
    said = refusal(world, InputNotFoundError, furtherIterations=5)
    assert "older/params/agent.yaml" in said


def test_what_is_not_given_is_as_in_the_older_run(world: World) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("tasks/__init__.py", "")
    package = world.put("packages/tasks.zip", archive.getvalue())
    older = TrainingConfig(
        task=TASK,
        num_envs=32,
        max_iterations=20,
        hydra_overrides=["agent.algorithm.gamma=0.9"],
        record_video=True,
        live_view=True,
    )
    leave(world, older, RunState.FAILED, inputs={CUSTOM_ENVIRONMENT: InputFile(uri=package)})
    world.put(f"older/{CHECKPOINTS}model_9.pt")
    spec = construct(world, recordVideo=False)
    training = training_of(spec)
    # Without a new length, the rest of the older run's.
    assert (training.max_iterations, training.task, training.num_envs) == (20, TASK, 32)
    assert training.hydra_overrides == ["agent.algorithm.gamma=0.9"]
    assert not training.record_video
    # Only who asks for it is looked into.
    assert not training.live_view
    assert spec.inputs[CUSTOM_ENVIRONMENT].uri == package


@pytest.mark.parametrize("override", ["agent.policy.actor_hidden_dims=[64,64]", "agent.actor.hidden_dims=[64, 64]"])
def test_a_run_does_not_go_on_with_other_networks(world: World, override: str) -> None:
    output = leave(world, TrainingConfig(task=TASK, max_iterations=3)).output_files
    world.put((output / f"{CHECKPOINTS}model_2.pt").key)
    settings = b"policy:\n  actor_hidden_dims:\n  - 32\n  - 32\n"
    world.put((output / "params/agent.yaml").key, settings)
    message = refusal(world, furtherIterations=2, hydraOverrides=[override])
    assert f"hydraOverrides has {override}, but trainingConfig.resumeFrom is s3://" in message
    assert "which was trained with [32, 32], as its params/*.yaml say" in message
