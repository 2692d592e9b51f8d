"""One attempt of a job, between STARTING and its end: a container, or one for each of the job's nodes."""

import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from gaitway.local.extensions.batch.container import (
    ContainerStartError,
    LogStream,
    free_ports,
    open_log_stream,
    prepare,
)
from gaitway.local.extensions.batch.ecs_agent import EcsAgent, Task, TaskStartError
from gaitway.local.extensions.batch.model import Attempt, AttemptContainer, Container, Job, JobStatus
from gaitway.local.extensions.batch.nodes import node_variables
from gaitway.local.extensions.batch.process import ContainerProcess
from gaitway.local.extensions.batch.quotas import OVERRIDES_CHARACTERS, OVERRIDES_TOO_LONG
from gaitway.local.extensions.batch.submission import now_ms
from gaitway.local.runtime import ACCOUNT_ID, REGION, Runtime

logger = logging.getLogger("gaitway.batch")

CONTAINER_EXITED = "Essential container in task exited"
START_FAILED = "Task failed to start"
MAIN_NODE_ENDED = "Main node of the multi-node parallel job exited"

Move = Callable[[Job, JobStatus, str | None], None]
"""Brings a job, or a node, into a state."""


class RunningAttempt(Protocol):
    """What the jobs know of an attempt."""

    compute_environment: str
    stop_reason: str | None
    """Why it was asked to stop; an attempt that was asked to stop is not retried."""

    def run(self, on_running: Callable[[], None]) -> Attempt:
        """Start, call `on_running`, and wait for the end."""
        ...

    def stop(self, reason: str) -> None:
        """Ask whatever runs to end, and end it after a while."""
        ...

    def kill(self) -> None:
        """End whatever runs at once."""
        ...


class ContainerAttempt:
    """The attempt of one container."""

    def __init__(
        self,
        job: Job,
        number: int,
        compute_environment: str,
        runtime: Runtime,
        agent: EcsAgent,
        variables: dict[str, str],
    ) -> None:
        assert job.container is not None
        self.job = job
        self.compute_environment = compute_environment
        self.stop_reason: str | None = None
        self._container = job.container
        self._number = number
        self._runtime = runtime
        self._agent = agent
        self._variables = variables
        self._lock = threading.Lock()
        self._process: ContainerProcess | None = None
        self._is_killed = False

    def run(self, on_running: Callable[[], None]) -> Attempt:
        """Start the container, call `on_running`, and wait for its end."""
        try:
            return self._run(on_running)
        except TaskStartError as error:
            return ended_attempt(self.job, str(error))
        except ContainerStartError as error:
            self._container.reason = str(error)
        except Exception as error:
            logger.exception("job %s cannot run", self.job.job_id)
            self._container.reason = f"InternalError: {error!r}"
        return ended_attempt(self.job, START_FAILED)

    def stop(self, reason: str) -> None:
        """Ask the container to end, and end it after the grace period."""
        with self._lock:
            self.stop_reason = self.stop_reason or reason
            process = self._process
        if process:
            process.stop()

    def kill(self) -> None:
        """End the container at once."""
        with self._lock:
            self._is_killed = True
            process = self._process
        if process:
            process.kill()

    def _run(self, on_running: Callable[[], None]) -> Attempt:
        container, task_id = self._container, uuid.uuid4().hex
        container.reason = container.exit_code = container.log_stream_name = self.job.started_at = None
        if self.job.overrides_length > OVERRIDES_CHARACTERS:
            raise TaskStartError(OVERRIDES_TOO_LONG)
        container.task_arn = f"arn:aws:ecs:{REGION}:{ACCOUNT_ID}:task/{self.compute_environment}/{task_id}"
        log_stream = open_log_stream(self.job, container, task_id)
        container.log_stream_name = log_stream.name
        task = Task(task_id, container.task_arn, container.image, container.job_role_arn, datetime.now(UTC))
        variables = self._variables | self._agent.begin(task, self._runtime)
        try:
            return self._run_process(variables, log_stream, on_running)
        finally:
            self._agent.end(task_id)

    def _run_process(self, variables: dict[str, str], log_stream: LogStream, on_running: Callable[[], None]) -> Attempt:
        container = self._container
        spec = prepare(self.job, container, self._number, self.compute_environment, variables, self._runtime)
        process = ContainerProcess(("AWS_BATCH_JOB_ID", self.job.job_id), spec, log_stream, self._runtime.guard)
        with self._lock:
            self._process = process
            is_over = self._is_killed or self.stop_reason is not None
        self.job.started_at = now_ms()
        on_running()
        if is_over:
            process.kill()
        container.exit_code = process.wait()
        return ended_attempt(self.job, CONTAINER_EXITED)


class MultiNodeAttempt:
    """The attempt of a multi-node parallel job: its outcome is the main node's.

    docs.aws.amazon.com/batch/latest/userguide/job-lifecycle.html: the main node is launched first, the others once it
    runs. When it exits, the others are stopped; when another one dies, nothing is done.
    """

    def __init__(
        self,
        job: Job,
        nodes: Sequence[Job],
        number: int,
        compute_environment: str,
        runtime: Runtime,
        agent: EcsAgent,
        move: Move,
    ) -> None:
        assert job.node_properties is not None
        self.compute_environment = compute_environment
        self.stop_reason: str | None = None
        self._job = job
        self._move = move
        ports = free_ports(nodes)
        attempts = [
            ContainerAttempt(node, number, compute_environment, runtime, agent, node_variables(job, index) | ports)
            for index, node in enumerate(nodes)
        ]
        self._main = attempts.pop(job.node_properties.main_node)
        self._others = attempts

    def run(self, on_running: Callable[[], None]) -> Attempt:
        """Run the main node, and the others for as long as it runs."""
        threads = [
            threading.Thread(target=self._run_node, args=(other,), name=f"batch-{other.job.job_id}", daemon=True)
            for other in self._others
        ]

        def launch_others() -> None:
            self._job.started_at = self._main.job.started_at
            on_running()
            for thread in threads:
                thread.start()

        self._job.started_at = None
        attempt = self._run_node(self._main, launch_others)
        for other in self._others:
            other.stop(MAIN_NODE_ENDED)
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        for other in self._others:
            if not other.job.status.has_ended:
                self._move(other.job, JobStatus.FAILED, MAIN_NODE_ENDED)
        return attempt.model_copy(deep=True)

    def stop(self, reason: str) -> None:
        """Ask all nodes to end."""
        self.stop_reason = self.stop_reason or reason
        for node in (self._main, *self._others):
            node.stop(reason)

    def kill(self) -> None:
        """End all nodes at once."""
        for node in (self._main, *self._others):
            node.kill()

    def _run_node(self, node: ContainerAttempt, on_running: Callable[[], None] = lambda: None) -> Attempt:
        def run_on() -> None:
            self._move(node.job, JobStatus.RUNNING, None)
            on_running()

        self._move(node.job, JobStatus.STARTING, None)
        attempt = node.run(run_on)
        attempt.status_reason = node.stop_reason or attempt.status_reason
        node.job.attempts.append(attempt)
        node.job.stopped_at = attempt.stopped_at
        # "As individual nodes exit, they move to SUCCEEDED or FAILED, depending on their exit code."
        status = JobStatus.SUCCEEDED if attempt.container.exit_code == 0 else JobStatus.FAILED
        self._move(node.job, status, attempt.status_reason)
        return attempt


def ended_attempt(job: Job, status_reason: str) -> Attempt:
    """Describe an attempt that has just ended."""
    container = job.container or Container(image="")
    return Attempt(
        container=AttemptContainer(
            task_arn=container.task_arn,
            exit_code=container.exit_code,
            reason=container.reason,
            log_stream_name=container.log_stream_name,
        ),
        started_at=job.started_at,
        stopped_at=now_ms(),
        status_reason=status_reason,
    )
