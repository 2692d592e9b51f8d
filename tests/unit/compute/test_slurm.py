"""A run's job in Slurm's terms: the script, and the meaning of what Slurm says."""

from __future__ import annotations

import shutil
import subprocess
from datetime import datetime

import pytest

from gaitway.compute import ends
from gaitway.compute.backends import documents_of
from gaitway.compute.ends import End
from gaitway.compute.jobs import JobRequest, JobState
from gaitway.compute.slurm import BACKEND, check_partition, pyxis_image, read_completed, read_jobs, sbatch_script
from gaitway.contracts.cluster import AgentConfig, NodeSize, SubmitOrder
from gaitway.contracts.errors import RequestError
from gaitway.contracts.request import ComputeConfig

NAME = "run-0123456789abcdef0123-0123456789ab"
ORDER = SubmitOrder(
    job_id=f"{BACKEND}/{NAME}-1",
    run_id="run-0123456789abcdef0123",
    compute=ComputeConfig(backend="hyperpod-slurm", num_nodes=2, gpus_per_node=8),
    timeout_seconds=3600,
)
CONFIG = AgentConfig(
    queue="gaitway-hyperpod-slurm-orders.fifo",
    run_table="runs",
    sizes={"8": NodeSize(gpus=8, vcpus=64, memory_mib=229_376)},
    job_environment={"GAITWAY_RUN_TABLE": "runs", "GAITWAY_INSTANCE_PRICES": '{"ml.g5.48xlarge": 16.3}'},
    efs_root="/mnt/gaitway",
    file_system="fs-0123456789abcdef0",
    access_point="fsap-0123456789abcdef0",
    mounts=("/mnt/gaitway", "/etc/gaitway"),
    job_attempts=3,
    image="111122223333.dkr.ecr.us-east-1.amazonaws.com/gaitway@sha256:abc",
    command=("/opt/gaitway/src/container/entrypoint.sh",),
)
SHOWN = (
    "JobId=7 JobName={name} UserId=root(0) Priority=1 JobState={state} Reason={reason} Dependency=(null) Requeue=1 "
    "Restarts={restarts} BatchFlag=1 ExitCode={code} RunTime=00:00:02 SubmitTime=2026-11-27T14:33:00 "
    "EndTime=2026-11-27T14:35:02 Command=(null) StdOut=/mnt/batch.log Power= "
)


def shown(state: str, reason: str = "None", code: str = "0:0", restarts: int = 0, name: str = f"{NAME}-1") -> str:
    return SHOWN.format(name=name, state=state, reason=reason, code=code, restarts=restarts)


def options(script: str) -> list[str]:
    return [line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH ")]


def test_the_script_asks_for_the_requests_nodes_and_for_time_to_save() -> None:
    asked = options(sbatch_script(ORDER, CONFIG))
    assert {"nodes=2", "ntasks-per-node=1", "gpus-per-node=8", "cpus-per-task=64", "mem=229376M"} <= set(asked)
    # An hour, and two minutes from the signal to the end.
    assert {"time=62", "signal=TERM@120", "requeue", "open-mode=append", "export=NONE"} <= set(asked)
    assert f"job-name={NAME}-1" in asked
    assert f"output=/mnt/gaitway/runs/run-0123456789abcdef0123/logs/{NAME}-1/batch.log" in asked


def test_the_script_starts_the_runner_on_each_node_in_its_container() -> None:
    script = sbatch_script(ORDER, CONFIG)
    assert "options=(--cpus-per-task=64 " in script
    # The registry is set apart, and the digest is where a tag would be.
    assert 'options+=("--container-image=111122223333.dkr.ecr.us-east-1.amazonaws.com#gaitway:sha256:abc")' in script
    assert 'options+=("--container-mounts=/mnt/gaitway:/mnt/gaitway,/etc/gaitway:/etc/gaitway")' in script
    assert 'srun "${options[@]}" /opt/gaitway/src/container/entrypoint.sh run-0123456789abcdef0123' in script
    assert "if [[ -d /opt/sagemaker_cluster ]]; then options+=(--auto-resume=1); fi" in script
    assert """export GAITWAY_INSTANCE_PRICES='{"ml.g5.48xlarge": 16.3}'""" in script


def test_the_script_tells_prometheus_where_the_nodes_offer_their_metrics() -> None:
    script = sbatch_script(ORDER, CONFIG)
    file = f"/mnt/gaitway/metrics/{NAME}-1.json"
    assert f"trap 'rm -f {file}' EXIT" in script
    assert f"mv {file}.new {file}" in script
    # Two jobs on one node have different ports, and none is one on which nodes meet.
    assert "GAITWAY_METRICS_PORT=$((10000 + SLURM_JOB_ID % 10000))" in script
    assert "GAITWAY_NODE_PORT=$((20000 + SLURM_JOB_ID % 10000))" in script


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("nvcr.io/nvidia/isaac-lab:2.3.2", "nvcr.io#nvidia/isaac-lab:2.3.2"),
        ("localhost:5000/robots/isaac:7@sha256:abc", "localhost:5000#robots/isaac:sha256:abc"),
        ("robots/isaac:7", "robots/isaac:7"),
        ("/images/isaac.sqsh", "/images/isaac.sqsh"),
    ],
)
def test_an_image_is_written_as_pyxis_takes_it(address: str, expected: str) -> None:
    assert pyxis_image(address) == expected


def test_a_run_gets_the_image_of_its_simulator() -> None:
    config = CONFIG.model_copy(update={"images": {"isaaclab-3": "r.io/three:1", "isaaclab-2": "r.io/two:1"}})
    asked = {
        simulator: sbatch_script(ORDER.model_copy(update={"simulator": simulator}), config)
        for simulator in ("isaaclab-3", "isaaclab-2", None)
    }
    assert "--container-image=r.io#three:1" in asked["isaaclab-3"]
    assert "--container-image=r.io#two:1" in asked["isaaclab-2"]
    # From before there was a choice.
    assert asked[None] == asked["isaaclab-2"]
    with pytest.raises(RequestError, match="the simulator embedded, which is not deployed any more"):
        sbatch_script(ORDER.model_copy(update={"simulator": "embedded"}), config)


def test_where_there_is_no_image_and_no_gpu_nothing_asks_for_one() -> None:
    size = {"8": NodeSize(gpus=0, vcpus=2, memory_mib=4096)}
    script = sbatch_script(ORDER, CONFIG.model_copy(update={"image": None, "sizes": size}))
    assert "container" not in script.replace("container/entrypoint.sh", "")
    assert "gpus-per-node" not in script


def test_the_script_is_a_shell_script_that_shellcheck_finds_nothing_wrong_with() -> None:
    shellcheck = shutil.which("shellcheck")
    assert shellcheck is not None
    done = subprocess.run([shellcheck, "-"], input=sbatch_script(ORDER, CONFIG), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_size_that_the_cluster_does_not_have_is_refused() -> None:
    order = ORDER.model_copy(update={"compute": ComputeConfig(backend="hyperpod-slurm", gpus_per_node=2)})
    with pytest.raises(RequestError, match="gpusPerNode is 2, allowed on hyperpod-slurm: 8"):
        sbatch_script(order, CONFIG)


PARTITIONS = (
    "PartitionName=debug Default=NO MaxNodes=1 MaxTime=00:10:00 TotalNodes=1\n"
    "PartitionName=robots AllowGroups=ALL Default=YES MaxNodes={nodes} MaxTime={time} MinNodes=0 TotalNodes={total}\n"
)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"nodes": "1"}, r"numNodes is 2, allowed for jobs of Slurm's partition robots: at most 1\. Ask for that"),
        ({"total": "1"}, r"numNodes is 2, allowed for jobs of Slurm's partition robots: at most 1\."),
        ({"time": "01:00:00"}, r"62 minutes, allowed for jobs of Slurm's partition robots: at most 60 \(MaxTime\)"),
    ],
)
def test_a_job_that_its_partition_would_never_start_is_refused(limits: dict[str, str], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        check_partition(ORDER, PARTITIONS.format(**{"nodes": "UNLIMITED", "time": "UNLIMITED", "total": "2"} | limits))


@pytest.mark.parametrize(
    "text",
    [
        PARTITIONS.format(nodes="UNLIMITED", time="UNLIMITED", total="2"),
        PARTITIONS.format(nodes="2", time="1-00:00:00", total="4"),
        PARTITIONS.format(nodes="2", time="01:02:00", total="2"),
        # Without a default, sbatch says it itself.
        "PartitionName=debug Default=NO MaxNodes=1",
        "",
    ],
)
def test_a_job_within_the_limits_of_its_partition_is_not_refused(text: str) -> None:
    check_partition(ORDER, text)


@pytest.mark.parametrize(
    ("state", "reason", "code", "expected", "end", "exit_code"),
    [
        ("PENDING", "Resources", "0:0", JobState.WAITING, None, None),
        ("RUNNING", "None", "0:0", JobState.RUNNING, None, None),
        ("COMPLETING", "None", "0:0", JobState.RUNNING, None, None),
        ("COMPLETED", "None", "0:0", JobState.SUCCEEDED, None, 0),
        ("FAILED", "NonZeroExitCode", "10:0", JobState.FAILED, None, 10),
        ("FAILED", "None", "0:9", JobState.FAILED, None, 137),
        ("CANCELLED", "None", "0:15", JobState.FAILED, ends.STOPPED, None),
        ("TIMEOUT", "TimeLimit", "0:15", JobState.FAILED, ends.TIME_IS_OVER, None),
        ("NODE_FAIL", "None", "0:0", JobState.FAILED, ends.MACHINE_LOST, None),
        ("OUT_OF_MEMORY", "OutOfMemory", "0:125", JobState.FAILED, ends.OUT_OF_MEMORY, None),
        ("A_NEW_STATE", "None", "0:0", JobState.RUNNING, None, None),
    ],
)
def test_each_state_of_slurm_has_its_meaning(
    state: str, reason: str, code: str, expected: JobState, end: End | None, exit_code: int | None
) -> None:
    (job,) = read_jobs(BACKEND, shown(state, reason, code))
    assert (job.id, job.name, job.state, job.end, job.exit_code) == (ORDER.job_id, NAME, expected, end, exit_code)
    assert (job.ended_at is not None) is job.has_ended
    assert job.created_at == datetime(2026, 11, 27, 14, 33).astimezone()


def test_restarts_are_attempts_that_ended() -> None:
    assert [job.attempts for job in read_jobs(BACKEND, shown("RUNNING", restarts=2))] == [2]
    assert [job.attempts for job in read_jobs(BACKEND, shown("COMPLETED", restarts=2))] == [3]


def test_jobs_of_others_are_none_of_ours() -> None:
    text = "\n".join([shown("RUNNING", name="interactive"), shown("RUNNING"), "No jobs in the system"])
    assert [job.id for job in read_jobs(BACKEND, text)] == [ORDER.job_id]


def test_a_job_that_the_controller_has_forgotten_is_read_from_its_records() -> None:
    (job,) = read_completed(BACKEND, f"{NAME}-1|CANCELLED by 0|0:15\nother|COMPLETED|0:0")
    assert (job.state, job.end) == (JobState.FAILED, ends.STOPPED)
    (job,) = read_completed(BACKEND, f"{NAME}-1|COMPLETED")
    assert (job.state, job.exit_code) == (JobState.SUCCEEDED, None)


class Parameters:
    """Systems Manager, with the agent's configuration."""

    def get_parameter(self, **asked: str) -> dict[str, dict[str, str]]:
        """Read the parameter of the deployment `legs-dev`."""
        assert asked == {"Name": "/legs-dev/agent/hyperpod-slurm"}
        return {"Parameter": {"Value": CONFIG.model_dump_json()}}


def test_what_generate_writes_is_what_the_agent_submits() -> None:
    job = JobRequest(name=NAME, run_id=ORDER.run_id, compute=ORDER.compute, timeout_seconds=3600)
    variables = {
        "GAITWAY_RUN_TABLE": "runs",
        "GAITWAY_FURTHER_BACKENDS": '{"hyperpod-slurm": {}}',
        "GAITWAY_CLUSTER_ORDERS": '{"hyperpod-slurm": "legs-dev-hyperpod-slurm-orders.fifo"}',
    }
    documents = documents_of(job, lambda service: {"ssm": Parameters()}[service], variables)
    assert documents == {f"{NAME}-1.sbatch": sbatch_script(ORDER, CONFIG)}
