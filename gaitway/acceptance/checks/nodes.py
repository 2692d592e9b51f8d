"""Several nodes find each other and train one policy."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gaitway.acceptance.check import Check, CheckFailedError, Effort, Findings
from gaitway.acceptance.checks.training import judge_training, note_trial
from gaitway.acceptance.trials import ended_job, job_of, log_lines, start, succeed, training

if TYPE_CHECKING:
    from gaitway.acceptance.site import Site

_NODES = 2
_SOCKET = re.compile(r"NET/Socket")
_EFA = re.compile(r"NET/OFI Selected provider is efa", re.IGNORECASE)
"""What NCCL logs of how it talks, with NCCL_DEBUG=INFO: github.com/aws/aws-ofi-nccl."""


def judge_nodes(
    job: dict[str, Any], nodes: list[dict[str, Any]], log: list[str], transport: re.Pattern[str] | None
) -> str | None:
    """Return what is wrong with a job of several nodes that has ended; None if nothing is.

    Args:
        job: As AWS Batch describes it.
        nodes: The same of each node.
        log: The log of the main node.
        transport: NCCL's expected transport; None if any is allowed.
    """
    count = job.get("nodeProperties", {}).get("numNodes")
    if count != _NODES:
        return f"its job has {count or 'no'} nodes, and {_NODES} were requested"
    for index, node in enumerate(nodes):
        if (code := node.get("container", {}).get("exitCode")) != 0:
            return f"node {index} ended as {node.get('status')} with exit code {code}: {node.get('statusReason')}"
    if transport is not None and not any(transport.search(line) for line in log):
        said = next((line for line in log if "NET/" in line), "nothing of NCCL's")
        return f"the log does not say {transport.pattern!r}, but: {said}"
    return None


def _run(gpus: int, transport: re.Pattern[str]) -> Callable[[Site, Findings], None]:
    def run(site: Site, findings: Findings) -> None:
        compute = {"numNodes": _NODES, "gpusPerNode": gpus}
        started = start(site, {"trainingConfig": training(site), "computeConfig": compute})
        trial = succeed(site, findings, started, f"training on {_NODES} nodes")
        note_trial(site, findings, trial)
        job = ended_job(site, trial.record)
        nodes = [job_of(site, trial.record, node) for node in range(_NODES)]
        for index, node in enumerate(nodes):
            findings.note(f"node {index}", f"{node['status']}, exit code {node['container'].get('exitCode')}")
        log = log_lines(site, trial.record)
        findings.quote("how its nodes talk", [line for line in log if "NET/" in line])
        expected = None if site.is_embedded else transport
        problem = judge_training(trial.results, trial.manifest, site.size.iterations)
        if problem := problem or judge_nodes(job, nodes, log, expected):
            raise CheckFailedError(f"{started.run_id}: {problem}")

    return run


CHECKS = (
    Check(
        name="two-nodes",
        title="Two nodes train one policy",
        effort=Effort(minutes=25, machine_minutes=22, nodes=_NODES),
        leaves="a run's files",
        run=_run(1, _SOCKET),
        seconds_here=12,
    ),
    Check(
        name="two-nodes-efa",
        title="Two nodes of four GPUs talk through Elastic Fabric Adapters",
        effort=Effort(minutes=25, machine_minutes=22, nodes=_NODES, gpus=4),
        leaves="a run's files",
        run=_run(4, _EFA),
        not_here="this machine has no Elastic Fabric Adapter",
        # Eight GPUs at a time are above most accounts' quotas.
        only_by_name=True,
    ),
)
