"""Deployments over others: an older commit's, and the same with other settings, while runs go on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from gaitway.client.deployment import read_deployment
from gaitway.client.runs import StartedRun
from gaitway.contracts.request import parse_request
from gaitway.contracts.run import RunState
from gaitway.local.cdk import CdkDeployer, DeployError
from gaitway.local.extensions.batch.jobs import QUEUE_DELETED
from gaitway.local.launcher import LocalAws, LocalSession, client_environment
from gaitway.local.server_process import running_server, start_server, stop_server
from tests.local.conformance.workflow import until
from tests.local.deployed import TINY, ControlPlane
from tests.older import OLDER, checked_out

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RUN_SECONDS = 240.0
"""Deployments keep the machine busy."""

SETTINGS: dict[str, dict[str, str]] = {
    "job definitions": {
        "useSpot": "true",
        "jobVcpus": "1",
        "jobMemoryMib": "2048",
        "heartbeatSeconds": "4",
        "instancePrices": '{"g6.2xlarge": 1.5}',
        # As new sources do: they make an image with another digest.
        "containerImageUri": f"gaitway/embedded:local@sha256:{'0' * 64}",
    },
    "instances": {
        "maxVcpus": "16",
        "keepWarmInstance": "true",
        "tags": '{"team": "robots"}',
        "alarmEmail": "robots@example.com",
    },
    "the default ones again": {},
}


class Meanwhile:
    """Starts a run in the middle of a deployment: when the job definitions are new, and the functions may still be old.

    While the emulator updates a stack, it answers nobody, so that this is between two stacks.
    """

    def __init__(self, plane: ControlPlane, session: Any) -> None:
        self.run: StartedRun | None = None
        self._plane = plane
        self._cloudformation = session.client("cloudformation")
        self._before = self._updated_at()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while self.run is None and not self._over.wait(0.1):
            if self._updated_at() != self._before:
                self.run = start(self._plane)

    def _updated_at(self) -> object:
        (stack,) = self._cloudformation.describe_stacks(StackName="GaitwayCompute")["Stacks"]
        return stack.get("LastUpdatedTime")


class Deployment:
    """An emulator whose stacks are deployed again and again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.endpoint_url: str
        self.plane: ControlPlane

    def deploy(self, settings: dict[str, str]) -> None:
        """Deploy today's stacks over whatever is there; unlike `gaitway local up`, without a new emulator."""
        record = running_server(self.state) or start_server(self.state)
        self.endpoint_url = record.endpoint_url
        CdkDeployer(self.directory / "cdk", context=settings).deploy(client_environment(record.endpoint_url), print)
        cloudformation = LocalSession(record.endpoint_url).client("cloudformation")
        aws = LocalAws(endpoint_url=record.endpoint_url, deployment=read_deployment(cloudformation))
        self.plane = ControlPlane(aws)


def start(plane: ControlPlane, **training: object) -> StartedRun:
    return plane.runs.start(parse_request({"trainingConfig": TINY | training}))


def state_of(plane: ControlPlane, run: StartedRun) -> RunState | None:
    record = plane.runs.record(run.run_id)
    return record.state if record else None


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path)
    try:
        yield deployment
    finally:
        stop_server(deployment.state)


def test_other_settings_over_the_default_ones_while_runs_go_on(deployment: Deployment) -> None:
    deployment.deploy({})
    for name, settings in SETTINGS.items():
        plane = deployment.plane
        runs = {"before": start(plane, maxIterations=400)}
        until(lambda: state_of(plane, runs["before"]) is RunState.RUNNING, RUN_SECONDS)  # noqa: B023 - in this round
        with Meanwhile(plane, LocalSession(deployment.endpoint_url)) as meanwhile:
            deployment.deploy(settings)
        assert meanwhile.run, f"{name}: nothing was updated"
        runs["during"] = meanwhile.run
        runs["after"] = start(deployment.plane)
        ended = {when: deployment.plane.ended(run.execution_arn) for when, run in runs.items()}
        failed = {when: execution["cause"] for when, execution in ended.items() if execution["status"] != "SUCCEEDED"}
        assert failed == {}, name


def test_an_older_commits_stacks_as_docs_deploy_says(deployment: Deployment) -> None:
    """docs/deploy.md, "Updating": while no run is under way, since a job that waits in an old queue ends with it.

    Its caller receives that when the heartbeat of its state machine is missed, after 25 minutes, for which this test
    does not wait: the new rules are for events of the new queues.
    """
    record = start_server(deployment.state)
    environment = client_environment(record.endpoint_url)
    cdk = CdkDeployer(deployment.directory / "cdk")
    older = deployment.directory / "older"
    cdk.synthesise(checked_out(OLDER, deployment.directory / OLDER), older, environment, print)
    cdk.bootstrap(environment, print)
    cdk.deploy_assembly(older, ["--all"], environment, print)

    session: Any = LocalSession(record.endpoint_url)
    states, batch = session.client("stepfunctions"), session.client("batch")
    for one in batch.describe_compute_environments()["computeEnvironments"]:
        batch.update_compute_environment(computeEnvironment=one["computeEnvironmentName"], state="DISABLED")
    machines = {item["name"]: item["stateMachineArn"] for item in states.list_state_machines()["stateMachines"]}
    document = {"mode": "train", "inputParameters": {"trainingConfig": TINY}}
    states.start_execution(stateMachineArn=machines["gaitway-workflow"], input=json.dumps(document))
    queues = [queue["jobQueueArn"] for queue in batch.describe_job_queues()["jobQueues"]]

    def waiting() -> list[str]:
        jobs = [batch.list_jobs(jobQueue=queue, jobStatus="RUNNABLE")["jobSummaryList"] for queue in queues]
        return [job["jobId"] for some in jobs for job in some]

    until(lambda: bool(waiting()), RUN_SECONDS)
    (job_id,) = waiting()

    # What docs/deploy.md warns of: the other order is refused.
    assembly = cdk.assembly(environment, print)
    with pytest.raises(DeployError, match=r"cannot be (updated|deleted) as it is in use by GaitwayPipeline"):
        cdk.deploy_assembly(assembly, ["GaitwayCompute", "--exclusively"], environment, print)
    cdk.deploy_assembly(assembly, ["GaitwayPipeline", "--exclusively"], environment, print)
    deployment.deploy({})

    (job,) = batch.describe_jobs(jobs=[job_id])["jobs"]
    assert (job["status"], job["statusReason"]) == ("FAILED", QUEUE_DELETED)
    run = start(deployment.plane)
    assert deployment.plane.ended(run.execution_arn)["status"] == "SUCCEEDED"
