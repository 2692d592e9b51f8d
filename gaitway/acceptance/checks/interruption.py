"""A training that loses its machine resumes from its newest checkpoint, on another one."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psutil

from gaitway.acceptance.check import Check, CheckFailedError, Effort, Findings
from gaitway.acceptance.checks.training import note_trial
from gaitway.acceptance.fault_injection import interrupt_spot_instance
from gaitway.acceptance.trials import failed, iterations_of, job_of, start, succeed, training, wait
from gaitway.local.guard import processes_with

if TYPE_CHECKING:
    from gaitway.acceptance.site import Site
    from gaitway.contracts.artifacts import Results
    from gaitway.contracts.run import RunRecord


def judge_interruption(results: Results, iterations: int) -> str | None:
    """Say what is wrong with a training that was interrupted and says it succeeded; None where nothing is."""
    attempts = results.history.attempts if results.history else []
    if results.attempts < 2 or len(attempts) < 2:
        return "it ended in its first attempt: the interruption did not reach it"
    if attempts[-1].resumed_from == 0:
        return f"attempt {attempts[-1].number} started from the beginning: no checkpoint was found"
    if results.training is None or results.training.iterations != iterations:
        done = results.training.iterations if results.training else 0
        return f"{done} iterations were trained in total, and {iterations} were requested"
    return None


def _run(site: Site, findings: Findings) -> None:
    size = site.size
    fields = training(site, maxIterations=size.interrupted_iterations, checkpointInterval=size.checkpoint_interval)
    run = start(site, {"trainingConfig": fields})
    # By then there is a checkpoint.
    ended = wait(site, run, "interruption", lambda record: iterations_of(record) > size.checkpoint_interval)
    if ended is not None:
        raise failed(site, findings, run, ended)
    record = site.runs.record(run.run_id)
    assert record is not None
    findings.note("interrupted after", f"{iterations_of(record)} iterations")
    findings.note("interruption", interrupt(site, record))
    trial = succeed(site, findings, run, "after the interruption")
    note_trial(site, findings, trial)
    for attempt in trial.results.history.attempts if trial.results.history else []:
        machine = attempt.machine.instance_type if attempt.machine else "a machine that is not known"
        findings.note(f"attempt {attempt.number}", f"on {machine}, from iteration {attempt.resumed_from}")
    if problem := judge_interruption(trial.results, size.interrupted_iterations):
        raise CheckFailedError(f"{run.run_id}: {problem}")


def interrupt(site: Site, record: RunRecord) -> str:
    """Take a run's machine away, and say how.

    Raises:
        CheckFailedError: It is not known which machine that is.
    """
    if site.is_embedded:
        return _kill(f"{record.job_id}")
    container_instance = job_of(site, record).get("container", {}).get("containerInstanceArn")
    if container_instance is None:
        raise CheckFailedError(f"AWS Batch does not say on which instance the job of {record.run_id} runs")
    # The ARN holds the cluster's name: docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-account-settings.html.
    cluster = container_instance.split("/")[1]
    described = site.client("ecs").describe_container_instances(
        cluster=cluster, containerInstances=[container_instance]
    )
    if not described["containerInstances"]:
        raise CheckFailedError(f"ECS knows no container instance {container_instance}")
    instance_id = described["containerInstances"][0]["ec2InstanceId"]
    ec2 = site.client("ec2")
    instance = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
    is_spot = instance.get("InstanceLifecycle") == "spot"
    if is_spot and site.fis_role is not None:
        experiment = interrupt_spot_instance(site, instance_id, site.fis_role)
        return f"FIS sent the interruption of Spot instance {instance_id}, experiment {experiment}"
    ec2.terminate_instances(InstanceIds=[instance_id])
    return f"{'Spot ' if is_spot else ''}instance {instance_id} was terminated"


def _kill(job_id: str) -> str:
    """On the embedded AWS, a job's machine is its processes."""
    processes = processes_with("AWS_BATCH_JOB_ID", job_id)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    return f"{len(processes)} processes of job {job_id} were killed with SIGKILL"


CHECK = Check(
    name="interruption",
    title="Resumes after its machine is taken away",
    effort=Effort(minutes=30, machine_minutes=30),
    leaves="a run's files",
    run=_run,
    seconds_here=15,
)
