"""The agent's adapter and the job's script on real Slurm, with a shell script in place of the runner."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gaitway.agent.scheduler import OrderRefusedError
from gaitway.agent.slurm import Slurm
from gaitway.compute.ends import STOPPED
from gaitway.compute.jobs import Job, JobState
from gaitway.contracts.cluster import NodeSize, SubmitOrder
from gaitway.contracts.request import ComputeConfig
from gaitway.local import slurm
from gaitway.local.slurm import SlurmCluster
from tests.local.conformance.workflow import until
from tests.unit.compute.test_slurm import CONFIG, NAME

pytestmark = pytest.mark.skipif(slurm.why_missing() is not None, reason=slurm.why_missing() or "")

BACKEND = "hyperpod-slurm"
SECONDS = 240.0
SIZES = {"1": NodeSize(gpus=0, vcpus=2, memory_mib=1024), "8": NodeSize(gpus=8, vcpus=2, memory_mib=1024)}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    cluster = SlurmCluster(tmp_path_factory.mktemp("slurm"))
    cluster.start({})
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        yield cluster
    cluster.stop()


@pytest.fixture
def scheduler(cluster: SlurmCluster, tmp_path: Path) -> Callable[[str], Slurm]:
    """Make the adapter of a cluster on which this script is the runner."""

    def make(script: str) -> Slurm:
        assert cluster.configuration.exists()
        runner = tmp_path / "runner.sh"
        runner.write_text(f"#!/bin/bash\n{script}\n")
        runner.chmod(0o755)
        update = {"efs_root": str(tmp_path / "efs"), "image": None, "command": (str(runner),), "sizes": SIZES}
        return Slurm(CONFIG.model_copy(update=update))

    return make


def order(number: int, **compute: int) -> SubmitOrder:
    return SubmitOrder(
        job_id=f"{BACKEND}/{NAME}-{number}",
        run_id=NAME.rpartition("-")[0],
        compute=ComputeConfig(backend=BACKEND, **compute),  # type: ignore[arg-type]
        timeout_seconds=600,
    )


def ended(scheduler: Slurm, job: SubmitOrder) -> Job:
    """Wait for a job's end."""

    def has_ended() -> bool:
        found = scheduler.find(job.job_id)
        return found is not None and found.has_ended

    until(has_ended, SECONDS)
    found = scheduler.find(job.job_id)
    assert found is not None
    return found


def test_a_runner_that_reported_nothing_is_started_again_on_all_nodes_and_one_that_failed_is_not(
    scheduler: Callable[[str], Slurm], tmp_path: Path
) -> None:
    on = scheduler(
        'echo "$GAITWAY_JOB_ID $1 node $SLURM_NODEID of $SLURM_JOB_NUM_NODES at $GAITWAY_MAIN_ADDRESS, attempt '
        '${SLURM_RESTART_COUNT:-0}, CPUs $SLURM_CPUS_PER_TASK"\nexit $((11 - ${SLURM_RESTART_COUNT:-0}))'
    )
    job = order(1, num_nodes=2)
    on.submit(job)
    end = ended(on, job)
    assert (end.state, end.exit_code, end.attempts) == (JobState.FAILED, 10, 2)
    for node in range(2):
        said = (tmp_path / f"efs/runs/{job.run_id}/logs/{job.key}/node-{node}.log").read_text().splitlines()
        beginning = f"{job.job_id} {job.run_id} node {node} of 2 at 127.0.0.1"
        assert said == [f"{beginning}, attempt {attempt}, CPUs 2" for attempt in range(2)]


def test_a_cancelled_job_is_not_started_again(scheduler: Callable[[str], Slurm], tmp_path: Path) -> None:
    on = scheduler(f"trap 'exit 11' TERM\ntouch {tmp_path}/begun\nwhile true; do sleep 0.1; done")
    job = order(2)
    on.submit(job)
    until((tmp_path / "begun").exists, SECONDS)
    on.stop(job.job_id, "wrong robot")
    end = ended(on, job)
    assert (end.state, end.end, end.attempts) == (JobState.FAILED, STOPPED, 1)
    assert [found.id for found in on.states() if not found.has_ended] == []


def test_what_the_cluster_cannot_have_is_refused(scheduler: Callable[[str], Slurm]) -> None:
    with pytest.raises(OrderRefusedError, match="sbatch"):
        scheduler("true").submit(order(3, gpus_per_node=8))


def test_what_its_partition_would_leave_waiting_for_ever_is_refused(
    scheduler: Callable[[str], Slurm], cluster: SlurmCluster
) -> None:
    on = scheduler("true")
    with pytest.raises(OrderRefusedError, match=r"numNodes is 3, allowed for jobs of .* gaitway: at most 2"):
        on.submit(order(4, num_nodes=3))
    cluster.command("scontrol", "update", "PartitionName=gaitway", "MaxTime=00:05:00")
    try:
        with pytest.raises(OrderRefusedError, match=r"take 12 minutes, allowed .* at most 5 \(MaxTime\)"):
            on.submit(order(4))
    finally:
        cluster.command("scontrol", "update", "PartitionName=gaitway", "MaxTime=UNLIMITED")
    assert on.find(f"{BACKEND}/{NAME}-4") is None


def test_prometheus_is_told_where_the_metrics_of_jobs_are_as_long_as_they_run(
    scheduler: Callable[[str], Slurm], tmp_path: Path
) -> None:
    targets = tmp_path / "efs" / "metrics"
    targets.mkdir(parents=True)
    left = targets / "run-of-a-killed-script.json"
    left.write_text("[]")
    os.utime(left, (0, 0))
    # With the file that was left, it would read two documents, which are none together.
    on = scheduler(f"cat {targets}/*.json > {tmp_path}/seen\necho $GAITWAY_METRICS_PORT > {tmp_path}/port\nexit 10")
    job = order(5, num_nodes=2)
    on.submit(job)
    ended(on, job)
    port = (tmp_path / "port").read_text().strip()
    [group] = json.loads((tmp_path / "seen").read_text())
    assert set(group["targets"]) == {f"127.0.0.1:{port}"}
    assert list(targets.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_runner_is_asked_to_end_while_there_is_time_to_save(
    scheduler: Callable[[str], Slurm], cluster: SlurmCluster, tmp_path: Path
) -> None:
    on = scheduler(f"trap 'touch {tmp_path}/asked; exit 10' TERM\nwhile true; do sleep 0.1; done")
    job = order(6).model_copy(update={"timeout_seconds": 60})
    on.submit(job)
    # A minute of work and two to save: Slurm may ask up to a minute early (man sbatch, --signal).
    assert "TimeLimit=00:03:00" in cluster.command("scontrol", "show", "jobs", "--oneliner")
    end = ended(on, job)
    assert (tmp_path / "asked").exists()
    assert (end.state, end.exit_code, end.attempts) == (JobState.FAILED, 10, 1)
