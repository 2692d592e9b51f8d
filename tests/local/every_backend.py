"""A deployment with every back end, and what tests do to its jobs in the words of each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from gaitway.client.runs import StartedRun
from gaitway.compute.backends import jobs_of
from gaitway.compute.jobs import Job
from gaitway.contracts.artifacts import RESULTS, Results
from gaitway.contracts.backends import Backend
from gaitway.contracts.cluster import key_of
from gaitway.contracts.request import parse_request
from gaitway.contracts.run import RunRecord
from gaitway.local import slurm
from gaitway.local.cdk import CdkDeployer
from gaitway.local.launcher import CLUSTERS, Launcher, cluster_settings
from gaitway.names import DEFAULT_NAMES
from tests.local.conformance.workflow import until
from tests.local.deployed import TINY, ControlPlane, Json
from tests.processes import kill_processes

RUN_SECONDS = 400.0
"""A small run takes half a minute; but the machine may be busy."""
ENDLESS = 100_000

_without_slurm = pytest.mark.skipif(slurm.why_missing() is not None, reason=slurm.why_missing() or "")
BACKENDS = [pytest.param(name, marks=_without_slurm if name == "hyperpod-slurm" else ()) for name in get_args(Backend)]


def every_backend(directory: Path) -> Launcher:
    """Return the launcher of a deployment with every back end that can be here, in a state directory."""
    clusters = [name for name in CLUSTERS if name != "slurm" or slurm.why_missing() is None]
    deployer = CdkDeployer(directory.with_name("cdk"), context=cluster_settings(clusters))
    return Launcher(directory, deployer, DEFAULT_NAMES, clusters)


@dataclass(frozen=True)
class Words:
    """What a back end's own tools say and do."""

    marker: str
    """Variable of the processes of a job; its value is that of `mark`."""
    mark: Callable[[Job], str]
    end: Callable[[World, str], None]
    """Ends a job by hand, with the tools of those who look after it, and not with ours."""
    price: Callable[[World], Path | None] = lambda _: None
    """The file in which a job finds what its machine is; None where the deployment says it."""


class World:
    """The deployment, and those who ask it for runs."""

    def __init__(self, launcher: Launcher) -> None:
        local_aws = launcher.up(lambda _: None)
        self.launcher = launcher
        self.plane = ControlPlane(local_aws)
        client: Any = local_aws.session().client  # the stubs know services by literal name only
        orders = {name: DEFAULT_NAMES.orders(name) for name in CLUSTERS.values()}
        self.jobs = jobs_of(
            client,
            variables={
                "GAITWAY_RUN_TABLE": local_aws.deployment.run_table_name,
                "GAITWAY_CLUSTER_ORDERS": json.dumps(orders),
            },
        )

    def start(self, backend: str, compute: Mapping[str, object] | None = None, **training: object) -> StartedRun:
        """Ask for a run."""
        request = {"trainingConfig": TINY | training, "computeConfig": {"backend": backend} | dict(compute or {})}
        return self.plane.runs.start(parse_request(request))

    def ended(self, run: StartedRun) -> Json:
        """Wait for what the caller is told: the end of the execution that waits for the run."""
        until(lambda: self.plane.describe(run.execution_arn)["status"] != "RUNNING", RUN_SECONDS)
        return self.plane.describe(run.execution_arn)

    def succeeds(self, run: StartedRun, directory: Path) -> Results:
        """Wait for a run's success, and fetch its results."""
        execution = self.ended(run)
        assert execution["status"] == "SUCCEEDED", execution.get("cause")
        self.plane.runs.fetch(run.output_files, directory)
        return Results.model_validate_json((directory / RESULTS).read_bytes())

    def record(self, run: StartedRun) -> RunRecord:
        """Read a run's record."""
        record = self.plane.runs.record(run.run_id)
        assert record is not None
        return record

    def trains_beyond(self, run: StartedRun, iterations: int) -> str:
        """Wait until a run has trained so far; return its job's id."""

        def done() -> int:
            record = self.plane.runs.record(run.run_id)
            return record.progress.done if record is not None and record.progress is not None else 0

        until(lambda: done() > iterations, RUN_SECONDS)
        job_id = self.record(run).job_id
        assert job_id is not None
        return job_id

    def job(self, job_id: str) -> Job:
        """Describe a job, as the control plane knows it."""
        job = self.jobs.get(job_id)
        assert job is not None
        return job

    def ends(self, job_id: str) -> Job:
        """Wait for the end of a job itself, which comes after that of its run."""
        until(lambda: self.job(job_id).has_ended, RUN_SECONDS)
        return self.job(job_id)

    def kill(self, backend: str, job_id: str) -> None:
        """Kill all processes of a job's machine, without a word."""
        words = WORDS[backend]
        kill_processes(words.marker, words.mark(self.job(job_id)))

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl."""
        kubectl = Path(sys.executable).with_name("kubectl")
        command = [str(kubectl), "--kubeconfig", str(self.launcher.eks().kubeconfig), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def _terminate(world: World, job_id: str) -> None:
    world.plane.batch.terminate_job(jobId=job_id, reason="by hand")


def _terminate_service_job(world: World, job_id: str) -> None:
    world.plane.batch.terminate_service_job(jobId=job_id.removeprefix("sagemaker/"), reason="by hand")


def _scancel(world: World, job_id: str) -> None:
    world.launcher.slurm().command("scancel", "--name", key_of(job_id))


def _delete(world: World, job_id: str) -> None:
    world.kubectl("delete", "pytorchjob", key_of(job_id), "--wait=false")


WORDS: Mapping[str, Words] = {
    "batch": Words(
        "AWS_BATCH_JOB_ID",
        lambda job: job.id,
        _terminate,
        lambda world: world.launcher.state_directory / "instance" / "etc" / "gaitway" / "machine.json",
    ),
    "sagemaker": Words("GAITWAY_JOB_NAME", lambda job: job.name, _terminate_service_job),
    "hyperpod-slurm": Words(
        "GAITWAY_JOB_ID",
        lambda job: job.id,
        _scancel,
        lambda world: world.launcher.slurm().directory / DEFAULT_NAMES.deployment / "machine.json",
    ),
    "hyperpod-eks": Words("GAITWAY_JOB_OBJECT", lambda job: key_of(job.id), _delete),
}
