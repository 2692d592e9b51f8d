"""From SubmitJob to the last state: the jobs, where they wait, and what runs them."""

import logging
import threading
import time
import uuid

from gaitway.local.extensions.batch.container import (
    ContainerStartError,
    open_log_stream,
    prepare,
    substitute_parameters,
)
from gaitway.local.extensions.batch.model import Attempt, AttemptContainer, Container, Job, JobStatus
from gaitway.local.extensions.batch.process import ContainerProcess
from gaitway.local.extensions.batch.resources import ClientError, Resources, arn
from gaitway.local.extensions.batch.retry import is_retried
from gaitway.local.runtime import ACCOUNT_ID, REGION, Runtime
from gaitway.local.services import Json, put_event

logger = logging.getLogger("gaitway.batch")

CONTAINER_EXITED = "Essential container in task exited"
TIMED_OUT = "Job attempt duration exceeded timeout"
START_FAILED = "Task failed to start"
HOST_LOST = "Host EC2 (instance i-0e1b5d0c0a1a1a1a1) terminated."
"""What Batch says when the instance of a job is gone: the first words are what `evaluateOnExit` rules match."""

_UNSUPPORTED = ("arrayProperties", "dependsOn", "eksPropertiesOverride", "ecsPropertiesOverride", "nodeOverrides")


class _RunningAttempt:
    """An attempt between STARTING and its end."""

    def __init__(self, compute_environment: str) -> None:
        self.compute_environment = compute_environment
        self.process: ContainerProcess | None = None
        self.stop_reason: str | None = None
        """Why it was told to stop; an attempt that was told to stop is not retried."""

    def stop(self, reason: str) -> None:
        self.stop_reason = reason
        if self.process:
            self.process.stop()


class Jobs:
    """All jobs. Every public method may be called from any thread."""

    def __init__(self, resources: Resources, runtime: Runtime) -> None:
        self._resources = resources
        self._runtime = runtime
        # Events are put while it is held, so that they arrive in the order of the states.
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, _RunningAttempt] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._closed = False

    def submit(self, request: Json) -> Job:
        """SubmitJob.

        Raises:
            ClientError: Queue or definition do not exist or are not enabled, or ask for what is not supported here.
        """
        with self._lock:
            job = self._new_job(request)
            self._jobs[job.job_id] = job
            for status in (JobStatus.SUBMITTED, JobStatus.PENDING, JobStatus.RUNNABLE):
                self._move(job, status)
            self.dispatch()
        return job

    def get(self, job_ids: list[str]) -> list[Job]:
        """Return those of these jobs that exist."""
        return [self._jobs[job_id] for job_id in job_ids if job_id in self._jobs]

    def of_queue(self, queue_arn: str) -> list[Job]:
        """Return the jobs of a queue, the newest first."""
        with self._lock:
            return [job for job in reversed(self._jobs.values()) if job.job_queue == queue_arn]

    def terminate(self, job_id: str, reason: str) -> None:
        """TerminateJob: end the job, wherever it stands."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None or job.status.has_ended:
                return
            job.is_terminated = True
            running = self._running.get(job_id)
            if running:
                running.stop(reason)
            else:
                self._end(job, JobStatus.FAILED, reason)

    def cancel(self, job_id: str, reason: str) -> None:
        """CancelJob: end the job if it has not begun to start."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job and not job.status.has_ended and job_id not in self._running:
                job.is_cancelled = True
                self._end(job, JobStatus.FAILED, reason)

    def dispatch(self) -> None:
        """Start every waiting job that fits: queues by priority, then jobs by age."""
        with self._lock:
            if self._closed:
                return
            waiting = [job for job in self._jobs.values() if job.status is JobStatus.RUNNABLE]
            queues = {queue["jobQueueArn"]: queue for queue in self._resources.job_queues.values()}
            waiting = [job for job in waiting if job.job_queue in queues]
            for job in sorted(waiting, key=lambda job: -int(queues[job.job_queue]["priority"])):
                for name in self._resources.compute_environment_names(queues[job.job_queue]):
                    if self._fits(job, name):
                        self._start(job, name)
                        break

    # Life of the emulator

    def to_state(self) -> list[Json]:
        """Return all jobs, for `from_state` to restore."""
        with self._lock:
            return [job.to_aws() for job in self._jobs.values()]

    def from_state(self, state: list[Json]) -> None:
        """Restore what `to_state` returned."""
        jobs = [Job.model_validate(document) for document in state]
        self._jobs = {job.job_id: job for job in jobs}

    def resume(self) -> None:
        """Go on after a restart. To a job that ran, the emulator's stop was the loss of its instance."""
        with self._lock:
            for job in self._jobs.values():
                if job.status in {JobStatus.STARTING, JobStatus.RUNNING}:
                    self._finish_attempt(job, _attempt(job, HOST_LOST), stop_reason=None)
            self.dispatch()

    def close(self) -> None:
        """Kill what runs and start nothing more; `to_state` still shows the jobs as running."""
        with self._lock:
            self._closed = True
            processes = [running.process for running in self._running.values() if running.process]
            threads = list(self._threads.values())
        for process in processes:
            process.kill()
        for thread in threads:
            thread.join(timeout=5)

    def reset(self) -> None:
        """Forget all jobs, and end those that run."""
        self.close()
        with self._lock:
            self._jobs.clear()
            self._running.clear()
            self._closed = False

    # Inside

    def _new_job(self, request: Json) -> Job:
        for name in _UNSUPPORTED:
            if request.get(name):
                raise ClientError(f"{name} is not supported by the embedded AWS Batch")
        queue = self._resources.job_queue(request["jobQueue"])
        if queue["state"] != "ENABLED":
            raise ClientError(f"Job Queue {queue['jobQueueName']} is not in ENABLED state.")
        definition = self._resources.job_definition(request["jobDefinition"])
        if "containerProperties" not in definition:
            raise ClientError("only job definitions with containerProperties are supported by the embedded AWS Batch")
        parameters = definition.get("parameters", {}) | request.get("parameters", {})
        job_id = str(uuid.uuid4())
        return Job(
            job_id=job_id,
            job_arn=arn("job", job_id),
            job_name=request["jobName"],
            job_queue=queue["jobQueueArn"],
            job_definition=definition["jobDefinitionArn"],
            status=JobStatus.SUBMITTED,
            created_at=_now_ms(),
            # Batch demands at least 60 seconds here; a shorter timeout is accepted so that tests need not wait for it.
            timeout=request.get("timeout") or definition.get("timeout"),
            retry_strategy=request.get("retryStrategy") or definition.get("retryStrategy") or {},
            parameters=parameters,
            container=_container(definition["containerProperties"], request.get("containerOverrides", {}), parameters),
            tags=request.get("tags", {}),
        )

    def _move(self, job: Job, status: JobStatus, reason: str | None = None) -> None:
        job.status, job.status_reason = status, reason
        put_event("aws.batch", "Batch Job State Change", job.to_aws(), [job.job_arn])

    def _end(self, job: Job, status: JobStatus, reason: str) -> None:
        job.stopped_at = _now_ms()
        self._move(job, status, reason)

    def _fits(self, job: Job, compute_environment: str) -> bool:
        # GPUs are simulated on this machine: only vCPUs limit how many jobs run side by side.
        environment = self._resources.compute_environment(compute_environment)
        used = sum(
            self._jobs[job_id].container.vcpus
            for job_id, running in self._running.items()
            if running.compute_environment == compute_environment
        )
        limit = float(environment["computeResources"].get("maxvCpus", 0))
        return environment["state"] == "ENABLED" and used + job.container.vcpus <= limit

    def _start(self, job: Job, compute_environment: str) -> None:
        running = self._running[job.job_id] = _RunningAttempt(compute_environment)
        self._move(job, JobStatus.STARTING)
        thread = threading.Thread(target=self._run, args=(job, running), name=f"batch-{job.job_id}", daemon=True)
        self._threads[job.job_id] = thread
        thread.start()

    def _run(self, job: Job, running: _RunningAttempt) -> None:
        try:
            attempt = self._run_attempt(job, running)
        except ContainerStartError as error:
            job.container.reason = str(error)
            attempt = _attempt(job, START_FAILED)
        except Exception as error:
            logger.exception("job %s cannot run", job.job_id)
            job.container.reason = f"InternalError: {error!r}"
            attempt = _attempt(job, START_FAILED)
        with self._lock:
            if self._closed:
                return
            del self._running[job.job_id]
            del self._threads[job.job_id]
            self._finish_attempt(job, attempt, running.stop_reason)
            self.dispatch()

    def _run_attempt(self, job: Job, running: _RunningAttempt) -> Attempt:
        task_id = uuid.uuid4().hex
        job.container.reason = job.container.exit_code = job.container.log_stream_name = job.started_at = None
        job.container.task_arn = f"arn:aws:ecs:{REGION}:{ACCOUNT_ID}:task/{running.compute_environment}/{task_id}"
        log_stream = open_log_stream(job, task_id)
        job.container.log_stream_name = log_stream.name
        spec = prepare(job, running.compute_environment, self._runtime)
        process = ContainerProcess(job.job_id, spec, log_stream, self._runtime.guard)
        with self._lock:
            running.process = process
            job.started_at = _now_ms()
            self._move(job, JobStatus.RUNNING)
            if running.stop_reason or self._closed:
                process.kill()
            elif job.timeout:
                process.stop_after(job.timeout.attempt_duration_seconds, lambda: self._time_out(running))
        job.container.exit_code = process.wait()
        return _attempt(job, CONTAINER_EXITED)

    def _time_out(self, running: _RunningAttempt) -> None:
        with self._lock:
            running.stop_reason = running.stop_reason or TIMED_OUT

    def _finish_attempt(self, job: Job, attempt: Attempt, stop_reason: str | None) -> None:
        """Decide what becomes of the job. One that was told to stop has failed, whatever its exit code."""
        job.attempts.append(attempt)
        if stop_reason:
            attempt.status_reason = stop_reason
            self._end(job, JobStatus.FAILED, stop_reason)
        elif attempt.container.exit_code == 0:
            self._end(job, JobStatus.SUCCEEDED, attempt.status_reason)
        elif is_retried(job.retry_strategy, job.attempts):
            self._move(job, JobStatus.RUNNABLE, attempt.status_reason)
        else:
            self._end(job, JobStatus.FAILED, attempt.status_reason)


def _container(properties: Json, overrides: Json, parameters: dict[str, str]) -> Container:
    environment = {item["name"]: item.get("value", "") for item in properties.get("environment", [])}
    environment |= {item["name"]: item.get("value", "") for item in overrides.get("environment", [])}
    needs = {item["type"]: item["value"] for item in properties.get("resourceRequirements", [])}
    needs |= {item["type"]: item["value"] for item in overrides.get("resourceRequirements", [])}
    command = overrides.get("command") or properties.get("command", [])
    return Container.model_validate(
        {
            **properties,
            "command": substitute_parameters(command, parameters),
            "environment": [{"name": name, "value": value} for name, value in environment.items()],
            "resourceRequirements": [{"type": kind, "value": str(value)} for kind, value in needs.items()],
        }
    )


def _attempt(job: Job, status_reason: str) -> Attempt:
    return Attempt(
        container=AttemptContainer(
            task_arn=job.container.task_arn,
            exit_code=job.container.exit_code,
            reason=job.container.reason,
            log_stream_name=job.container.log_stream_name,
        ),
        started_at=job.started_at,
        stopped_at=_now_ms(),
        status_reason=status_reason,
    )


def _now_ms() -> int:
    return int(time.time() * 1000)
