"""From SubmitJob to the last state: the jobs, where they wait, and what runs them."""

import threading
from collections.abc import Iterable

from gaitway.local.extensions.batch.attempts import ContainerAttempt, MultiNodeAttempt, RunningAttempt, ended_attempt
from gaitway.local.extensions.batch.ecs_agent import EcsAgent
from gaitway.local.extensions.batch.errors import ClientError
from gaitway.local.extensions.batch.model import Attempt, Job, JobStatus
from gaitway.local.extensions.batch.nodes import node_id, nodes_of
from gaitway.local.extensions.batch.resources import Resources
from gaitway.local.extensions.batch.retry import is_retried
from gaitway.local.extensions.batch.submission import new_job, now_ms
from gaitway.local.runtime import Runtime
from gaitway.local.services import Json, put_event

TIMED_OUT = "Job attempt duration exceeded timeout"
HOST_LOST = "Host EC2 (instance i-0e1b5d0c0a1a1a1a1) terminated."
"""Batch's reason when the instance of a job is gone: `evaluateOnExit` rules match its beginning."""

QUEUE_DELETED = "Job queue deleted"


class Jobs:
    """All jobs. Every public method may be called from any thread."""

    def __init__(self, resources: Resources, runtime: Runtime) -> None:
        self._resources = resources
        self._runtime = runtime
        self.agent = EcsAgent()
        # Events are put while it is held, so that they arrive in the order of the states.
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, RunningAttempt] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._lost: set[str] = set()
        """Jobs whose instance is gone, until their attempt has ended."""
        self._closed = False

    def submit(self, request: Json) -> Job:
        """SubmitJob.

        Raises:
            ClientError: Queue or definition do not exist or are not enabled, or need something that is not supported
                here.
        """
        with self._lock:
            job = new_job(request, self._resources)
            self._jobs[job.job_id] = job
            if job.node_properties:
                self._jobs |= {node.job_id: node for node in nodes_of(job)}
            for status in (JobStatus.SUBMITTED, JobStatus.PENDING, JobStatus.RUNNABLE):
                for one in self._with_nodes(job):
                    self._move(one, status)
            self.dispatch()
        return job

    def get(self, job_ids: list[str]) -> list[Job]:
        """Return those of these jobs that exist."""
        return [self._jobs[job_id] for job_id in job_ids if job_id in self._jobs]

    def of_queue(self, queue_arn: str) -> list[Job]:
        """Return the jobs of a queue, the newest first, without their nodes."""
        with self._lock:
            return [job for job in reversed(self._jobs.values()) if job.job_queue == queue_arn and not job.is_node]

    def nodes(self, job_id: str) -> list[Job]:
        """Return the nodes of a multi-node parallel job.

        Raises:
            ClientError: There is no such job.
        """
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None or job.node_properties is None:
                raise ClientError(f"{job_id} is not a multi-node parallel job")
            return self._with_nodes(job)[1:]

    def terminate(self, job_id: str, reason: str) -> None:
        """TerminateJob: end the job in any state.

        Raises:
            ClientError: It is one node of a job, which the embedded AWS Batch ends only together with its job.
        """
        with self._lock:
            job = self._jobs.get(job_id)
            if job and job.is_node:
                raise ClientError(f"{job_id} is a node, which the embedded AWS Batch ends with its job only")
            if job is None or job.status.has_ended:
                return
            job.is_terminated = True
            running = self._running.get(job_id)
            if running:
                running.stop(reason)
            else:
                self._end_all(job, reason)

    def cancel(self, job_id: str, reason: str) -> None:
        """CancelJob: end the job if it has not started."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job and not job.is_node and not job.status.has_ended and job_id not in self._running:
                job.is_cancelled = True
                self._end_all(job, reason)

    def end_queue(self, queue_arn: str) -> None:
        """End the jobs of a queue that is deleted.

        docs.aws.amazon.com/batch/latest/APIReference/API_DeleteJobQueue.html: "All jobs in the queue are eventually
        terminated". With which reason is not documented.
        """
        for job in self.of_queue(queue_arn):
            self.terminate(job.job_id, QUEUE_DELETED)

    def lose_instances(self, compute_environment: str) -> None:
        """Remove the instances of a compute environment under their jobs, as its deletion does."""
        with self._lock:
            for job_id, running in self._running.items():
                if running.compute_environment == compute_environment:
                    self._lost.add(job_id)
                    running.kill()

    def dispatch(self) -> None:
        """Start waiting jobs: queues by priority, and of each the oldest first, up to one that fits nowhere now.

        A queue without a scheduling policy is first in, first out, and its head keeps all jobs behind it waiting:
        docs.aws.amazon.com/batch/latest/userguide/job_scheduling.html, aws.amazon.com/blogs/hpc/
        introducing-new-alerts-to-help-users-detect-and-react-to-blocked-job-queues-in-aws-batch.
        """
        with self._lock:
            if self._closed:
                return
            waiting = [job for job in self._jobs.values() if job.status is JobStatus.RUNNABLE and not job.is_node]
            queues = {queue["jobQueueArn"]: queue for queue in self._resources.job_queues.values()}
            waiting = [job for job in waiting if job.job_queue in queues]
            blocked: set[str] = set()
            for job in sorted(waiting, key=lambda job: -int(queues[job.job_queue]["priority"])):
                if job.job_queue in blocked:
                    continue
                for name in self._resources.compute_environment_names(queues[job.job_queue]):
                    if self._fits(job, name):
                        self._start(job, name)
                        break
                else:
                    blocked.add(job.job_queue)

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
        """Resume after a restart. For a job that ran, the emulator's stop counts as the loss of its instance."""
        with self._lock:
            for job in [job for job in self._jobs.values() if not job.is_node]:
                if job.status in {JobStatus.STARTING, JobStatus.RUNNING}:
                    self._lose_host(job)
            self.dispatch()

    def close(self) -> None:
        """Kill what runs and start nothing more; `to_state` still shows the jobs as running."""
        with self._lock:
            self._closed = True
            running = list(self._running.values())
            threads = list(self._threads.values())
        for attempt in running:
            attempt.kill()
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

    def _lose_host(self, job: Job) -> None:
        for node in self._with_nodes(job)[1:]:
            if not node.status.has_ended:
                node.attempts.append(ended_attempt(node, HOST_LOST))
                self._end(node, JobStatus.FAILED, HOST_LOST)
        self._finish_attempt(job, ended_attempt(job, HOST_LOST), stop_reason=None)

    def _with_nodes(self, job: Job) -> list[Job]:
        """Return a job, and after it its nodes."""
        count = job.node_properties.num_nodes if job.node_properties else 0
        return [job, *(self._jobs[node_id(job.job_id, index)] for index in range(count))]

    def _move(self, job: Job, status: JobStatus, reason: str | None = None) -> None:
        with self._lock:
            # A job that ends with the emulator keeps its visible state until the next emulator resumes it.
            if not self._closed:
                job.status, job.status_reason = status, reason
                put_event("aws.batch", "Batch Job State Change", job.to_aws(), [job.job_arn])

    def _end(self, job: Job, status: JobStatus, reason: str) -> None:
        job.stopped_at = now_ms()
        self._move(job, status, reason)

    def _end_all(self, job: Job, reason: str) -> None:
        """End a job that waits."""
        for one in self._with_nodes(job):
            self._end(one, JobStatus.FAILED, reason)

    def _fits(self, job: Job, compute_environment: str) -> bool:
        # GPUs are simulated on this machine: only vCPUs limit how many jobs run side by side.
        environment = self._resources.compute_environment(compute_environment)
        if job.node_properties and environment["computeResources"].get("type") == "SPOT":
            # docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html
            return False
        used = sum(
            self._vcpus(self._with_nodes(self._jobs[job_id]))
            for job_id, running in self._running.items()
            if running.compute_environment == compute_environment
        )
        limit = float(environment["computeResources"].get("maxvCpus", 0))
        return environment["state"] == "ENABLED" and used + self._vcpus(self._with_nodes(job)) <= limit

    @staticmethod
    def _vcpus(jobs: Iterable[Job]) -> float:
        return sum(job.container.vcpus for job in jobs if job.container)

    def _start(self, job: Job, compute_environment: str) -> None:
        number = len(job.attempts) + 1
        running: RunningAttempt
        if job.node_properties:
            nodes = self._with_nodes(job)[1:]
            running = MultiNodeAttempt(job, nodes, number, compute_environment, self._runtime, self.agent, self._move)
        else:
            running = ContainerAttempt(job, number, compute_environment, self._runtime, self.agent, {})
        self._running[job.job_id] = running
        self._move(job, JobStatus.STARTING)
        thread = threading.Thread(target=self._run, args=(job, running), name=f"batch-{job.job_id}", daemon=True)
        self._threads[job.job_id] = thread
        thread.start()

    def _run(self, job: Job, running: RunningAttempt) -> None:
        timer = (
            threading.Timer(job.timeout.attempt_duration_seconds, running.stop, [TIMED_OUT]) if job.timeout else None
        )

        def on_running() -> None:
            self._move(job, JobStatus.RUNNING)
            if timer:
                timer.daemon = True
                timer.start()

        attempt = running.run(on_running)
        if timer:
            timer.cancel()
        with self._lock:
            if self._closed:
                return
            del self._running[job.job_id]
            del self._threads[job.job_id]
            if job.job_id in self._lost:
                self._lost.remove(job.job_id)
                attempt.container.exit_code, attempt.status_reason = None, HOST_LOST
            self._finish_attempt(job, attempt, running.stop_reason)
            self.dispatch()

    def _finish_attempt(self, job: Job, attempt: Attempt, stop_reason: str | None) -> None:
        """Decide what happens to the job. One that was asked to stop has failed, whatever its exit code."""
        job.attempts.append(attempt)
        if stop_reason:
            attempt.status_reason = stop_reason
            self._end(job, JobStatus.FAILED, stop_reason)
        elif attempt.container.exit_code == 0:
            self._end(job, JobStatus.SUCCEEDED, attempt.status_reason)
        elif is_retried(job.retry_strategy, job.attempts):
            for one in self._with_nodes(job):
                self._move(one, JobStatus.RUNNABLE, attempt.status_reason)
        else:
            self._end(job, JobStatus.FAILED, attempt.status_reason)
