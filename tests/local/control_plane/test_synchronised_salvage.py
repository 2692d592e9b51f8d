"""handle_failure: what SageMaker synchronised of a run whose machine is gone gets to the run's outputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gaitway.compute.jobs import Job, JobState
from gaitway.contracts.artifacts import ManifestEntry
from gaitway.contracts.model import S3Uri
from gaitway.outputs.checkpoint_log import CHECKPOINT_LOG, CheckpointLog
from lambdas.launch.logic import Launch
from lambdas.launch.vams import Vams
from tests.local.control_plane.failing import LOG_DIRECTORY, Failing, checkpoint
from tests.local.control_plane.world import World

REQUEST = {"trainingConfig": {"maxIterations": 5}, "computeConfig": {"backend": "sagemaker"}}


class EndingJob:
    """A job that is active until it has been described once after its stop, and brings files to S3 up to then."""

    def __init__(self, last_words: Callable[[], None]) -> None:
        self._last_words = last_words
        self._is_stopped = self._has_ended = False

    def stop(self, job_id: str, reason: str) -> None:
        assert reason
        assert job_id == "job-1"
        self._is_stopped = True

    def get(self, job_id: str, node: int | None = None) -> Job:
        del node
        state = JobState.FAILED if self._has_ended else JobState.RUNNING
        if self._is_stopped and not self._has_ended:
            self._last_words()
            self._has_ended = True
        return Job(job_id, "run", state, "SageMaker")


@pytest.fixture
def failing(world: World, tmp_path: Path) -> Failing:
    """A run on SageMaker, whose directory is not on EFS."""
    failing = Failing(world, tmp_path)
    failing.synchronised_runs = S3Uri(world.bucket, "sagemaker/runs/")
    failing.jobs = EndingJob(lambda: None)  # type: ignore[assignment]  # no more of it is used
    callers, machine = Vams(world.s3), world.pipeline_arn
    world.launch = Launch(
        world.table,
        world.task_tokens,
        world.stepfunctions,
        callers,
        machine,
        ("embedded",),
        backends=("batch", "sagemaker"),
    )
    failing.running(inputParameters=json.dumps(REQUEST))
    return failing


def synchronise(failing: Failing, name: str, content: bytes) -> None:
    """Bring a file to S3 as SageMaker does."""
    failing.world.put(f"sagemaker/runs/{failing.world.run_id}/{name}", content)


def test_what_was_synchronised_is_among_the_outputs_and_what_was_uploaded_before_is_listed(
    failing: Failing, tmp_path: Path
) -> None:
    content = checkpoint(2)
    uploaded = ManifestEntry(
        path="checkpoints/model_2.pt", size=len(content), sha256=hashlib.sha256(content).hexdigest()
    )
    CheckpointLog(tmp_path).note(uploaded, 1.0)
    synchronise(failing, CHECKPOINT_LOG, (tmp_path / CHECKPOINT_LOG).read_bytes())
    synchronise(failing, f"{LOG_DIRECTORY}/model_2.pt", content)
    synchronise(failing, f"{LOG_DIRECTORY}/model_4.pt", checkpoint(4))
    synchronise(failing, f"{LOG_DIRECTORY}/model_6.pt", checkpoint(6)[:-7])
    synchronise(failing, "simulator.log", b"Learning iteration 3/5\n")
    failing.fail()
    objects = failing.objects()
    assert objects["checkpoints/model_4.pt"] == checkpoint(4)
    assert objects["simulator.log"] == b"Learning iteration 3/5\n"
    # Torn as it was brought to S3; and what the runner has uploaded is not brought again.
    assert {"checkpoints/model_6.pt", "checkpoints/model_2.pt"}.isdisjoint(objects)
    files = failing.results().files
    assert files is not None
    assert uploaded in files


def test_what_is_synchronised_until_the_job_has_ended_counts(failing: Failing) -> None:
    synchronise(failing, f"{LOG_DIRECTORY}/model_0.pt", checkpoint(0))

    def last_words() -> None:
        synchronise(failing, f"{LOG_DIRECTORY}/model_4.pt", checkpoint(4))

    failing.jobs = EndingJob(last_words)  # type: ignore[assignment]  # no more of it is used
    failing.fail()
    assert {"checkpoints/model_0.pt", "checkpoints/model_4.pt"} <= set(failing.objects())


def test_a_name_that_leads_out_of_the_directory_is_left_alone(failing: Failing) -> None:
    synchronise(failing, "../../evil.pt", checkpoint(0))
    synchronise(failing, f"{LOG_DIRECTORY}/model_0.pt", checkpoint(0))
    failing.fail()
    assert "checkpoints/model_0.pt" in failing.objects()
