"""Runs on the stand-in for Kubernetes: from the request through launch, the queue and the agent to pods, and back."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gaitway.cli import main
from gaitway.client.generate import generate_documents
from gaitway.client.logs import RunLogs
from gaitway.client.runs import StartedRun
from gaitway.commands import DEFAULT_COMMANDS
from gaitway.compute.backends import jobs_of
from gaitway.compute.jobs import Jobs, JobState
from gaitway.contracts.artifacts import MANIFEST, RESULTS, Manifest, Results
from gaitway.contracts.request import parse_request
from gaitway.contracts.run import RunRecord, RunState
from gaitway.local.launcher import EKS, STATE_VARIABLE, Launcher
from gaitway.names import DEFAULT_NAMES
from tests.local.conformance.workflow import until
from tests.local.deployed import RUN_SECONDS, TINY, ControlPlane
from tests.local.eks_world import eks_launcher

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BACKEND = "hyperpod-eks"
ENDLESS = 100_000


class World:
    """The deployment, the stand-in and the agent."""

    def __init__(self, launcher: Launcher) -> None:
        local_aws = launcher.up(lambda _: None)
        self.plane = ControlPlane(local_aws)
        self.eks = launcher.eks()
        self.state_directory = launcher.state_directory
        self.session = local_aws.session()
        client: Any = self.session.client  # the stubs know services by literal name only
        self.jobs: Jobs = jobs_of(
            client,
            variables={
                "GAITWAY_RUN_TABLE": local_aws.deployment.run_table_name,
                "GAITWAY_CLUSTER_ORDERS": json.dumps({BACKEND: DEFAULT_NAMES.orders(BACKEND)}),
            },
        )

    def start(self, compute: dict[str, Any] | None = None, **training: Any) -> StartedRun:
        """Ask for a run on the cluster."""
        request = {"trainingConfig": TINY | training, "computeConfig": {"backend": BACKEND} | (compute or {})}
        return self.plane.runs.start(parse_request(request))

    def record(self, run: StartedRun) -> RunRecord:
        """Read a run's record."""
        until(lambda: self.plane.runs.record(run.run_id) is not None, RUN_SECONDS)
        record = self.plane.runs.record(run.run_id)
        assert record is not None
        return record

    def trains_beyond(self, run: StartedRun, iterations: int) -> str:
        """Wait until a run has trained so far; return the name of its job's object."""

        def done() -> int:
            record = self.plane.runs.record(run.run_id)
            return record.progress.done if record is not None and record.progress is not None else 0

        until(lambda: done() > iterations, RUN_SECONDS)
        job_id = self.record(run).job_id
        assert job_id is not None
        return job_id.removeprefix(f"{BACKEND}/")

    def state(self, name: str) -> JobState | None:
        """Read a job's state, as the control plane knows it."""
        job = self.jobs.get(f"{BACKEND}/{name}")
        return job.state if job is not None else None

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl."""
        kubectl = Path(sys.executable).with_name("kubectl")
        command = [str(kubectl), "--kubeconfig", str(self.eks.kubeconfig), *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=True, timeout=60).stdout

    def node_of(self, name: str) -> str:
        """Name the node of a job's master."""
        return self.kubectl("get", "pod", f"{name}-master-0", "--output", "jsonpath={.spec.nodeName}")

    def kill_agent(self) -> None:
        """End the agent without letting it finish anything, and start no other."""
        self.kubectl("delete", "deployment", DEFAULT_NAMES.agent_account)
        pods = ("--selector", "app.kubernetes.io/name=gaitway-agent")
        self.kubectl("delete", "pod", *pods, "--force", "--grace-period=0")
        until(lambda: not self.kubectl("get", "pods", *pods, "--output", "name"), RUN_SECONDS)

    def start_agent(self) -> None:
        """Apply the Deployment that `gaitway generate` writes, and wait until it is ready."""
        [text] = [text for text in self.documents().values() if json.loads(text)["kind"] == "Deployment"]
        self.kubectl("apply", "-f", "-", text=text)
        self.agent_is_ready()

    def agent_is_ready(self) -> None:
        """Wait until the agent has gone round without a failure."""
        deployment = f"deployment/{DEFAULT_NAMES.agent_account}"
        self.kubectl("wait", deployment, "--for=jsonpath={.status.readyReplicas}=1", "--timeout=60s")

    def documents(self) -> dict[str, str]:
        """Generate what would be submitted for a request."""
        request = parse_request({"trainingConfig": TINY, "computeConfig": {"backend": BACKEND}})
        return generate_documents(request, self.session, DEFAULT_NAMES)

    def log(self, run: StartedRun, node: int) -> str:
        """Return what a node has said, as `gaitway logs` reads it."""
        reader = RunLogs(self.session, DEFAULT_COMMANDS, self.plane.deployment.run_table_name)
        stream = reader.stream(self.record(run), node)
        assert stream is not None
        return "\n".join(event.message for event in reader.read(stream))

    def jobs_of(self, run: StartedRun) -> list[str]:
        """List the names of the objects of a run's jobs."""
        listed = self.kubectl("get", "pytorchjobs", "--selector", f"gaitway/run={run.run_id}", "--output", "name")
        return [line.rpartition("/")[2] for line in listed.splitlines()]

    def succeeds(self, run: StartedRun, directory: Path) -> Results:
        """Wait for a run's success, and fetch its results."""
        execution = self.plane.ended(run.execution_arn)
        assert execution["status"] == "SUCCEEDED", execution.get("cause")
        self.plane.runs.fetch(run.output_files, directory)
        return Results.model_validate_json((directory / RESULTS).read_bytes())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    launcher = eks_launcher(tmp_path_factory.mktemp(EKS) / "state")
    try:
        yield World(launcher)
    finally:
        launcher.down()


def test_a_training_on_two_nodes_succeeds_and_its_caller_is_told(world: World, tmp_path: Path) -> None:
    run = world.start({"numNodes": 2}, maxIterations=4)
    results = world.succeeds(run, tmp_path)
    assert results.training is not None
    assert results.training.iterations == 4
    record = world.record(run)
    assert (record.state, record.attempts) == (RunState.SUCCEEDED, 1)
    [name] = world.jobs_of(run)
    assert record.job_id == f"{BACKEND}/{name}"
    until(lambda: world.state(name) is JobState.SUCCEEDED, RUN_SECONDS)
    files = {entry.path for entry in Manifest.model_validate_json((tmp_path / MANIFEST).read_bytes()).files}
    assert "exported/policy.onnx" in files
    assert f"{run.run_id} succeeded" in world.kubectl("logs", f"{name}-master-0")
    assert f"{run.run_id} succeeded" in world.log(run, 0)
    assert world.log(run, 1)


def test_a_training_whose_pod_is_killed_and_then_lost_goes_on_to_its_total(world: World, tmp_path: Path) -> None:
    total = 100
    run = world.start(maxIterations=total, checkpointInterval=10)
    name = world.trains_beyond(run, 20)
    # Its processes: the kubelet starts another container in the same pod.
    for process in psutil.process_iter():
        # Another may end meanwhile, or belong to another user.
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get("GAITWAY_JOB_OBJECT") == name:
                process.kill()
    until(lambda: world.record(run).attempts == 2, RUN_SECONDS)
    world.trains_beyond(run, 40)
    # Its node: the pod is gone with it, and the operator makes another.
    lost = world.node_of(name)
    world.kubectl("delete", "node", lost)
    results = world.succeeds(run, tmp_path)
    assert world.node_of(name) != lost
    assert results.history is not None
    first, second, third = results.history.attempts
    # Both were killed, and whoever followed went on from what they had trained.
    assert (first.outcome, second.outcome, third.outcome) == (None, None, "succeeded")
    assert 0 < second.resumed_from < third.resumed_from
    assert (results.attempts, world.record(run).attempts) == (3, 3)
    assert results.training is not None
    assert results.training.iterations == total
    assert world.jobs_of(run) == [name]
    until(lambda: world.state(name) is JobState.SUCCEEDED, RUN_SECONDS)


def test_a_training_whose_node_is_drained_saves_and_goes_on(world: World, tmp_path: Path) -> None:
    run = world.start(maxIterations=100, checkpointInterval=10)
    name = world.trains_beyond(run, 20)
    world.kubectl("delete", "pod", f"{name}-master-0")
    results = world.succeeds(run, tmp_path)
    assert (results.attempts, world.record(run).job_id) == (2, f"{BACKEND}/{name}")


def test_a_cancelled_run_ends_on_the_cluster_too(world: World) -> None:
    run = world.start(maxIterations=ENDLESS)
    name = world.trains_beyond(run, 1)
    world.plane.runs.cancel(world.plane.runs.find(run.run_id))
    assert world.plane.ended(run.execution_arn)["status"] != "SUCCEEDED"
    until(lambda: world.state(name) is JobState.FAILED, RUN_SECONDS)
    assert world.jobs_of(run) == []
    assert world.record(run).state is RunState.FAILED


def test_an_agent_that_is_killed_and_started_again_leaves_one_job(world: World, tmp_path: Path) -> None:
    world.kill_agent()
    run = world.start(maxIterations=60)
    # Ordered, and nobody carries it out.
    until(lambda: world.record(run).job_id is not None, RUN_SECONDS)
    assert world.jobs_of(run) == []
    world.start_agent()
    until(lambda: bool(world.jobs_of(run)), RUN_SECONDS)
    world.kill_agent()
    world.start_agent()
    world.succeeds(run, tmp_path)
    assert len(world.jobs_of(run)) == 1


@pytest.mark.long
def test_the_acceptance_check_passes(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(world.state_directory))
    with pytest.raises(SystemExit) as ended:
        main(["acceptance", "--only", BACKEND, "--yes", "--local", "-o", str(tmp_path / "page.html")])
    assert not ended.value.code, capsys.readouterr().out
    (check,) = json.loads((tmp_path / "page.json").read_text())["checks"]
    assert (check["name"], check["status"]) == (BACKEND, "passed")


def test_a_request_that_the_cluster_cannot_run_is_refused_before_it_is_ordered(world: World) -> None:
    run = world.start({"numNodes": 3})
    execution = world.plane.ended(run.execution_arn)
    assert execution["status"] == "FAILED"
    failure = world.record(run).failure
    assert failure is not None
    assert (failure.error, world.record(run).job_id) == ("RequestError", None)
    assert "computeConfig.numNodes is 3, allowed here: at most 2" in failure.cause


def test_what_would_be_submitted_can_be_had_without_submitting_it(world: World) -> None:
    documents = world.documents()
    assert {"PyTorchJob", "PersistentVolume", "Role", "Deployment"} <= {
        json.loads(text)["kind"] for text in documents.values()
    }
    for text in documents.values():
        # What is there already is as it would be; what is not would be accepted.
        world.kubectl("apply", "--dry-run=server", "-f", "-", text=text)
