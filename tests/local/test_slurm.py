"""Runs on real Slurm: two nodes of this machine, with the agent beside them."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gaitway.cli import main
from gaitway.client.logs import RunLogs
from gaitway.client.runs import StartedRun
from gaitway.commands import DEFAULT_COMMANDS
from gaitway.compute.backends import jobs_of
from gaitway.compute.jobs import Jobs, JobState
from gaitway.contracts.artifacts import MANIFEST, RESULTS, Manifest, Results
from gaitway.contracts.request import parse_request
from gaitway.contracts.run import RunRecord, RunState
from gaitway.local import slurm
from gaitway.local.guard import MARKER
from gaitway.local.launcher import SLURM, STATE_VARIABLE, Launcher
from gaitway.local.server_process import running_server
from gaitway.names import DEFAULT_NAMES
from tests.local.conformance.workflow import until
from tests.local.deployed import TINY, ControlPlane, Json
from tests.local.slurm_world import slurm_launcher

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(slurm.why_missing() is not None, reason=slurm.why_missing() or ""),
]

BACKEND = "hyperpod-slurm"
RUN_SECONDS = 300.0
"""A small run takes half a minute, and a lost node is noticed after as much; but the machine may be busy."""


class Cluster:
    """The deployment, its cluster and its agent."""

    def __init__(self, launcher: Launcher) -> None:
        local_aws = launcher.up(lambda _: None)
        self.plane = ControlPlane(local_aws)
        self.session = local_aws.session()
        client: Any = self.session.client  # the stubs know services by literal name only
        self.state_directory = launcher.state_directory
        self.slurm = launcher.slurm()
        self.agent = launcher.slurm_agent()
        record = running_server(launcher.state_directory)
        assert record is not None
        self.mark = {MARKER: record.emulator_id}
        self.jobs: Jobs = jobs_of(
            client,
            variables={
                "GAITWAY_RUN_TABLE": local_aws.deployment.run_table_name,
                "GAITWAY_CLUSTER_ORDERS": f'{{"{BACKEND}": "{DEFAULT_NAMES.orders(BACKEND)}"}}',
            },
        )

    def start(self, nodes: int = 1, **training: Any) -> StartedRun:
        """Ask for a run on the cluster."""
        request = {"trainingConfig": TINY | training, "computeConfig": {"backend": BACKEND, "numNodes": nodes}}
        return self.plane.runs.start(parse_request(request))

    def ended(self, run: StartedRun) -> Json:
        """Wait for the end of the execution that has asked for a run, and describe it."""
        until(lambda: self.plane.describe(run.execution_arn)["status"] != "RUNNING", RUN_SECONDS)
        return self.plane.describe(run.execution_arn)

    def record(self, run: StartedRun) -> RunRecord:
        """Read a run's record."""
        record = self.plane.runs.record(run.run_id)
        assert record is not None
        return record

    def has_job(self, run: StartedRun) -> bool:
        """Return whether a run has a job, as far as the control plane knows."""
        record = self.plane.runs.record(run.run_id)
        return record is not None and record.job_id is not None

    def trains_beyond(self, run: StartedRun, iterations: int) -> str:
        """Wait until a run has trained so far; return its job's id."""

        def done() -> int:
            record = self.plane.runs.record(run.run_id)
            return record.progress.done if record is not None and record.progress is not None else 0

        until(lambda: done() > iterations, RUN_SECONDS)
        job_id = self.record(run).job_id
        assert job_id is not None
        return job_id

    def state(self, job_id: str) -> JobState | None:
        """Read a job's state, as the control plane knows it."""
        job = self.jobs.get(job_id)
        return job.state if job is not None else None

    def submissions(self, run: StartedRun) -> list[str]:
        """List the lines of Slurm's jobs that belong to a run."""
        shown = self.slurm.command("scontrol", "show", "jobs", "--oneliner")
        return [line for line in shown.splitlines() if f"JobName={run.run_id}" in line]

    def log(self, run: StartedRun, node: int) -> str:
        """Return what a node has said, as `gaitway logs` reads it."""
        reader = RunLogs(self.session, DEFAULT_COMMANDS, self.plane.deployment.run_table_name)
        stream = reader.stream(self.record(run), node)
        assert stream is not None
        return "\n".join(event.message for event in reader.read(stream))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    launcher = slurm_launcher(tmp_path_factory.mktemp(SLURM) / "state")
    try:
        yield Cluster(launcher)
    finally:
        launcher.down()


def test_a_training_on_two_nodes_succeeds_and_its_caller_is_told(cluster: Cluster, tmp_path: Path) -> None:
    run = cluster.start(nodes=2, maxIterations=4)
    execution = cluster.ended(run)
    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    record = cluster.record(run)
    assert (record.state, record.attempts) == (RunState.SUCCEEDED, 1)
    assert record.job_id is not None
    assert record.job_id.startswith(f"{BACKEND}/{run.run_id}-")
    until(lambda: cluster.state(f"{record.job_id}") is JobState.SUCCEEDED, RUN_SECONDS)
    (job,) = cluster.submissions(run)
    assert "NumNodes=2 " in job
    cluster.plane.runs.fetch(run.output_files, tmp_path)
    files = {entry.path for entry in Manifest.model_validate_json((tmp_path / MANIFEST).read_bytes()).files}
    assert "exported/policy.onnx" in files
    # Both nodes have trained: 16 steps of 16 environments in each, in every iteration.
    assert "Total steps: 2048" in cluster.log(run, 0)
    assert "uploaded" not in cluster.log(run, 1)


def test_a_training_goes_on_to_its_total_when_its_node_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    total = 200
    run = cluster.start(maxIterations=total, checkpointInterval=10)
    job_id = cluster.trains_beyond(run, 20)
    (before,) = cluster.submissions(run)
    node = next(node for node in slurm.NODES if f"BatchHost={node} " in before)
    cluster.slurm.lose_node(node)
    # Slurm notices after SlurmdTimeout; the job waits until no credential of its first attempt is valid.
    until(lambda: "Restarts=1 " in cluster.submissions(run)[0], RUN_SECONDS)
    cluster.slurm.start_node(node, cluster.mark)
    execution = cluster.ended(run)
    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    record = cluster.record(run)
    assert (record.job_id, record.attempt, record.attempts) == (job_id, 2, 2)
    until(lambda: cluster.state(job_id) is JobState.SUCCEEDED, RUN_SECONDS)
    cluster.plane.runs.fetch(run.output_files, tmp_path)
    results = Results.model_validate_json((tmp_path / RESULTS).read_bytes())
    assert results.attempts == 2
    assert results.training is not None
    assert results.training.iterations == total


def test_a_run_that_fails_is_not_attempted_again(cluster: Cluster) -> None:
    run = cluster.start(task="Isaac-No-Such-Task-v0")
    assert cluster.ended(run)["status"] == "FAILED"
    record = cluster.record(run)
    assert (record.state, record.attempts) == (RunState.FAILED, 1)
    until(lambda: cluster.state(f"{record.job_id}") is JobState.FAILED, RUN_SECONDS)
    (job,) = cluster.submissions(run)
    assert "ExitCode=10:0 " in job


def test_a_cancelled_run_ends_on_the_cluster_too(cluster: Cluster) -> None:
    run = cluster.start(maxIterations=100_000)
    job_id = cluster.trains_beyond(run, 1)
    cluster.plane.runs.cancel(cluster.plane.runs.find(run.run_id))
    assert cluster.ended(run)["status"] != "SUCCEEDED"
    until(lambda: cluster.state(job_id) is JobState.FAILED, RUN_SECONDS)
    (job,) = cluster.submissions(run)
    assert "JobState=CANCELLED" in job
    assert cluster.record(run).state is RunState.FAILED


def test_a_training_that_is_requeued_saves_and_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    total = 100
    run = cluster.start(maxIterations=total, checkpointInterval=total)
    job_id = cluster.trains_beyond(run, 10)
    (job,) = cluster.submissions(run)
    # As an administrator does, or a partition whose jobs give way to others (PreemptMode=REQUEUE).
    cluster.slurm.command("scontrol", "requeue", job.partition(" ")[0].removeprefix("JobId="))
    execution = cluster.ended(run)
    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    assert (cluster.record(run).job_id, cluster.record(run).attempts) == (job_id, 2)
    cluster.plane.runs.fetch(run.output_files, tmp_path)
    history = Results.model_validate_json((tmp_path / RESULTS).read_bytes()).history
    assert history is not None
    # It had no checkpoint but the one that it saved when it was asked to.
    assert history.attempts[1].resumed_from > 0


@pytest.mark.long
def test_the_acceptance_check_passes(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(cluster.state_directory))
    with pytest.raises(SystemExit) as ended:
        main(["acceptance", "--only", BACKEND, "--yes", "--local", "-o", str(tmp_path / "page.html")])
    assert not ended.value.code, capsys.readouterr().out
    (check,) = json.loads((tmp_path / "page.json").read_text())["checks"]
    assert (check["name"], check["status"]) == (BACKEND, "passed")


def test_an_agent_that_is_killed_and_started_again_leaves_one_job(cluster: Cluster) -> None:
    cluster.agent.stop(signal.SIGKILL)
    run = cluster.start(maxIterations=60)
    # Ordered, and nobody carries it out.
    until(lambda: cluster.has_job(run), RUN_SECONDS)
    assert cluster.submissions(run) == []
    cluster.agent.start(cluster.session)
    until(lambda: bool(cluster.submissions(run)), RUN_SECONDS)
    cluster.agent.stop(signal.SIGKILL)
    cluster.agent.start(cluster.session)
    execution = cluster.ended(run)
    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    assert len(cluster.submissions(run)) == 1
    job_id = f"{cluster.record(run).job_id}"
    until(lambda: cluster.state(job_id) is JobState.SUCCEEDED, RUN_SECONDS)
