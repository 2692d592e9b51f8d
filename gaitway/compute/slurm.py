"""A job in Slurm's terms: the script that is submitted for it, and what Slurm's answers mean."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from gaitway.compute import ends
from gaitway.compute.cluster_image import image_of
from gaitway.compute.ends import End
from gaitway.compute.jobs import Job, JobState
from gaitway.contracts.cluster import AgentConfig, SubmitOrder, key_of, name_of_job, node_logs_name
from gaitway.contracts.errors import RequestError
from gaitway.contracts.limits import LONGEST_RUN_SECONDS

BACKEND = "hyperpod-slurm"
SERVICE = "Slurm"
STOP_SECONDS = 120
"""Between the signal at the end of a job's time and the end of all its processes."""
_FAILED = 10
"""Exit code of the runner for a failure that it has reported: no other attempt is made."""
_HYPERPOD = "/opt/sagemaker_cluster"
"""Only HyperPod's nodes have it, and only their srun knows --auto-resume: it repeats a step that a hardware failure
ended, once the node is replaced: docs.aws.amazon.com/sagemaker/latest/dg/
sagemaker-hyperpod-resiliency-slurm-auto-resume.html."""
_FIRST_PORT, _PORTS = 20_000, 10_000
"""Each job's nodes meet on a port of their own: two jobs may share a node."""
_FIRST_METRICS_PORT = 10_000
"""And each job offers its metrics on one of its own, below those from which Linux takes any (ip_local_port_range)."""
TARGETS = "metrics"
"""Directory of the file system with a file for each job that runs, which names what Prometheus reads:
prometheus.io/docs/prometheus/latest/configuration/configuration/#file_sd_config."""

_KEY = re.compile(r"run-[0-9a-f]{20}-[0-9a-f]{12}-[1-9][0-9]*")


def sbatch_script(order: SubmitOrder, config: AgentConfig) -> str:
    """Write the script of a run's job.

    srun starts the runner once on each node, and the runner starts torchrun: as on AWS Batch. The script asks for
    another attempt of a runner that ended without a report; Slurm itself does after the loss of a node.

    Args:
        order: The job.
        config: The agent's.

    Raises:
        RequestError: The cluster has no nodes for it, or its simulator is not deployed any more.
    """
    compute = order.compute
    size = config.sizes.get(str(compute.gpus_per_node))
    if size is None:
        raise RequestError(
            f"computeConfig.gpusPerNode is {compute.gpus_per_node}, allowed on {BACKEND}: {', '.join(config.sizes)}"
        )
    logs = log_directory(order, config)
    options = {
        # Unique, and found by that: Slurm keeps a job's name wherever it keeps the job.
        "job-name": order.key,
        "nodes": compute.num_nodes,
        "ntasks-per-node": 1,
        "cpus-per-task": size.vcpus,
        "mem": f"{size.memory_mib}M",
        **({"gpus-per-node": size.gpus} if size.gpus else {}),
        "time": _time_limit(order),
        # To the steps, and not to this script. Not USR1, which ends torchrun at once.
        "signal": f"TERM@{STOP_SECONDS}",
        "open-mode": "append",
        "output": f"{logs}/batch.log",
        # Nothing of the agent's own environment, which may hold credentials.
        "export": "NONE",
        "chdir": logs,
    }
    variables = {
        **config.job_environment,
        "GAITWAY_BACKEND": BACKEND,
        "GAITWAY_JOB_ID": order.job_id,
        "GAITWAY_JOB_ATTEMPTS": str(config.job_attempts),
        "GAITWAY_TIMEOUT_SECONDS": str(order.timeout_seconds),
    }
    lines = [
        "#!/bin/bash",
        *(f"#SBATCH --{name}={value}" for name, value in options.items()),
        "#SBATCH --requeue",
        "set -uo pipefail",
        # Else a step gets as little of the environment as the script did.
        "export SLURM_EXPORT_ENV=ALL",
        *(f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())),
        "GAITWAY_ATTEMPT_BEGAN_AT=$(date +%s)",
        f"GAITWAY_NODE_PORT=$(({_FIRST_PORT} + SLURM_JOB_ID % {_PORTS}))",
        f"GAITWAY_METRICS_PORT=$(({_FIRST_METRICS_PORT} + SLURM_JOB_ID % {_PORTS}))",
        'main=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
        'GAITWAY_MAIN_ADDRESS=$(scontrol show node "$main" --oneliner | sed -n "s/.* NodeAddr=\\([^ ]*\\) .*/\\1/p")',
        "export GAITWAY_ATTEMPT_BEGAN_AT GAITWAY_MAIN_ADDRESS GAITWAY_METRICS_PORT GAITWAY_NODE_PORT",
        *_announced(f"{config.efs_root}/{TARGETS}", order.key),
        # Since Slurm 22.05, a step does not inherit --cpus-per-task: without it, it gets one CPU (man srun).
        f'options=(--cpus-per-task={size.vcpus} --output="{logs}/node-%n.log" --open-mode=append)',
        f"if [[ -d {_HYPERPOD} ]]; then options+=(--auto-resume=1); fi",
        *(f'options+=("{option}")' for option in _container(order, config)),
        f'srun "${{options[@]}}" {shlex.join([*config.command, order.run_id])}',
        "code=$?",
        f"if ((code != 0 && code != {_FAILED} && ${{SLURM_RESTART_COUNT:-0}} + 1 < {config.job_attempts})) &&",
        '    [[ $(squeue --noheader --job "$SLURM_JOB_ID" --format %T) == RUNNING ]]; then',
        '    scontrol requeue "$SLURM_JOB_ID" && sleep 60',
        "fi",
        "exit $code",
    ]
    return "\n".join(lines) + "\n"


def documents(order: SubmitOrder, config: AgentConfig) -> dict[str, str]:
    """Write what the agent submits, by file name."""
    return {f"{order.key}.sbatch": sbatch_script(order, config)}


def _time_limit(order: SubmitOrder) -> int:
    """Return how many minutes a job may take."""
    return math.ceil((order.timeout_seconds + STOP_SECONDS) / 60)


def log_directory(order: SubmitOrder, config: AgentConfig) -> str:
    """Name the directory of a job's logs, one for each node; it is in the run's."""
    return f"{config.efs_root}/{node_logs_name(order.job_id)}"


def _announced(directory: str, key: str) -> Iterator[str]:
    """Tell Prometheus where the job's nodes offer their metrics, as long as the script runs.

    A script that is killed leaves its file; the next job that begins removes it when no run takes so long.
    """
    file = f"{directory}/{key}.json"
    yield f"trap 'rm -f {file}' EXIT"
    yield f'mkdir -p {directory} && find {directory} -name "*.json" -mmin +{LONGEST_RUN_SECONDS // 60 + 60} -delete'
    yield (
        'targets=$(scontrol show node "$SLURM_JOB_NODELIST" --oneliner |'
        ' sed -En "s/.* NodeAddr=([^ ]+) .*/\\"\\1:$GAITWAY_METRICS_PORT\\"/p" | paste -s -d ,)'
    )
    yield f'printf \'[{{"targets": [%s]}}]\\n\' "$targets" > {file}.new && mv {file}.new {file}'


def _container(order: SubmitOrder, config: AgentConfig) -> Iterator[str]:
    """Ask Pyxis for the job's container: github.com/NVIDIA/pyxis."""
    image = image_of(order, config)
    if image is not None:
        yield f"--container-image={pyxis_image(image)}"
        mounts = ",".join(f"{path}:{path}" for path in config.mounts)
        yield f"--container-mounts={mounts}"


def pyxis_image(address: str) -> str:
    """Write an image's address as Pyxis takes it: `REGISTRY#IMAGE:TAG`.

    Enroot, which pulls it, looks on Docker Hub for an image whose registry is not set apart so
    (github.com/NVIDIA/enroot/issues/72). A digest stands where a tag does, which every release takes; what is before an
    `@` is a user's name to those before 4.0: github.com/NVIDIA/enroot/blob/v3.5.0/src/docker.sh.
    """
    image, _, digest = address.partition("@")
    if digest:
        image = f"{re.sub(r':[^/:]*$', '', image)}:{digest}"
    registry, slash, rest = image.partition("/")
    has_registry = slash and (registry == "localhost" or "." in registry or ":" in registry)
    return f"{registry}#{rest}" if has_registry else image


_STATES = {
    "PENDING": JobState.WAITING,
    "CONFIGURING": JobState.WAITING,
    "REQUEUED": JobState.WAITING,
    "REQUEUE_FED": JobState.WAITING,
    "REQUEUE_HOLD": JobState.WAITING,
    "SPECIAL_EXIT": JobState.WAITING,
    "COMPLETED": JobState.SUCCEEDED,
    "BOOT_FAIL": JobState.FAILED,
    "CANCELLED": JobState.FAILED,
    "DEADLINE": JobState.FAILED,
    "FAILED": JobState.FAILED,
    "LAUNCH_FAILED": JobState.FAILED,
    "NODE_FAIL": JobState.FAILED,
    "OUT_OF_MEMORY": JobState.FAILED,
    "PREEMPTED": JobState.FAILED,
    "RECONFIG_FAIL": JobState.FAILED,
    "REVOKED": JobState.FAILED,
    "TIMEOUT": JobState.FAILED,
}
"""slurm.schedmd.com/squeue.html#SECTION_JOB-STATE-CODES; any other is one of an active job."""

_ENDS: Mapping[str, End] = {
    "BOOT_FAIL": ends.MACHINE_LOST,
    "CANCELLED": ends.STOPPED,
    "DEADLINE": ends.TIME_IS_OVER,
    "LAUNCH_FAILED": ends.NOT_PREPARED,
    "NODE_FAIL": ends.MACHINE_LOST,
    "OUT_OF_MEMORY": ends.OUT_OF_MEMORY,
    "PREEMPTED": ends.MACHINE_LOST,
    "TIMEOUT": ends.TIME_IS_OVER,
}

_FIELD = re.compile(r"(?:^| )(\w+)=(\S*)")


class _Code(NamedTuple):
    exit: int
    signal: int

    @property
    def as_shell(self) -> int:
        """As a shell writes it where a signal ended the process."""
        return 128 + self.signal if self.signal else self.exit


def check_partition(order: SubmitOrder, text: str) -> None:
    """Refuse a job that would wait for ever: sbatch takes what is beyond the limits of its partition.

    Only a cluster with EnforcePartLimits refuses it: slurm.schedmd.com/slurm.conf.html#OPT_EnforcePartLimits. The
    reason of such a job, PartitionNodeLimit, is also that of one whose nodes are down for a while:
    slurm.schedmd.com/job_reason_codes.html.

    Args:
        order: The job.
        text: The answer of `scontrol show partitions --oneliner`.

    Raises:
        RequestError: Says what the partition allows, and what to do.
    """
    partitions = (dict(_FIELD.findall(line)) for line in text.splitlines())
    partition = next((one for one in partitions if one.get("Default") == "YES"), {})
    name, nodes = partition.get("PartitionName"), order.compute.num_nodes
    limits = (int(partition.get(key, "")) for key in ("TotalNodes", "MaxNodes") if partition.get(key, "").isdecimal())
    allowed = min(limits, default=nodes)
    if nodes > allowed:
        raise RequestError(
            f"computeConfig.numNodes is {nodes}, allowed for jobs of Slurm's partition {name}: at most {allowed}. Ask "
            "for that, or let the cluster's administrator raise it; the setting clusterNodes should be the same"
        )
    longest = _minutes(partition.get("MaxTime", ""))
    if longest is not None and _time_limit(order) > longest:
        raise RequestError(
            f"the job may take {_time_limit(order)} minutes, allowed for jobs of Slurm's partition {name}: at most "
            f"{longest} (MaxTime). Let the cluster's administrator raise it, or choose another back end"
        )


def _minutes(text: str) -> int | None:
    """Read a time as Slurm writes limits, `days-hours:minutes:seconds`; None for UNLIMITED."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):\d+", text)
    if match is None:
        return None
    days, hours, minutes = (int(part or 0) for part in match.groups())
    return (days * 24 + hours) * 60 + minutes


def read_jobs(backend: str, text: str) -> Iterator[Job]:
    """Read the jobs of Gaitway from `scontrol show jobs --oneliner`."""
    for line in text.splitlines():
        fields = dict(_FIELD.findall(line))
        if _KEY.fullmatch(fields.get("JobName", "")):
            yield _job(f"{backend}/{fields['JobName']}", fields)


def numbers_of(text: str, job_id: str) -> list[str]:
    """Find Slurm's own numbers of a job in the same answer."""
    found = [dict(_FIELD.findall(line)) for line in text.splitlines()]
    return [fields["JobId"] for fields in found if fields.get("JobName") == key_of(job_id)]


def read_completed(backend: str, text: str) -> Iterator[Job]:
    """Read the jobs of Gaitway from `sacct --parsable2 --noheader --format=JobName,State,ExitCode`.

    Where there is no accounting, the same command with --completion gives no exit code: its records have none.
    """
    for line in text.splitlines():
        name, state, *code = line.split("|")
        if _KEY.fullmatch(name):
            yield _job(f"{backend}/{name}", {"JobState": state.partition(" ")[0], "ExitCode": code[0] if code else ""})


def _job(job_id: str, fields: Mapping[str, str]) -> Job:
    said = fields["JobState"]
    state = _STATES.get(said, JobState.RUNNING)
    has_ended = state in (JobState.SUCCEEDED, JobState.FAILED)
    reason = fields.get("Reason", "None")
    code = _exit_code(fields.get("ExitCode", ""))
    return Job(
        id=job_id,
        name=name_of_job(job_id),
        state=state,
        service=SERVICE,
        end=_ENDS.get(said) if has_ended else None,
        reason=(said if reason == "None" else f"{said}: {reason}") if state is JobState.FAILED else "",
        exit_code=code.as_shell if has_ended and code is not None and said in ("COMPLETED", "FAILED") else None,
        attempts=int(fields.get("Restarts", "0")) + int(has_ended),
        created_at=_moment(fields.get("SubmitTime", "")),
        ended_at=_moment(fields.get("EndTime", "")) if has_ended else None,
    )


def _exit_code(text: str) -> _Code | None:
    """Read `<exit code>:<signal>`."""
    code, colon, signal = text.partition(":")
    return _Code(int(code), int(signal)) if colon else None


def _moment(text: str) -> datetime | None:
    """Read a time of the controller's own zone, which is the agent's."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        return None
