"""From CreateTrainingJob to the last state: the training jobs, and what runs them."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from gaitway.local.extensions.batch.container import ContainerStartError, LogStream, free_port
from gaitway.local.extensions.batch.ecs_agent import EcsAgent, Task
from gaitway.local.extensions.batch.process import ContainerProcess
from gaitway.local.extensions.sagemaker.checkpoints import DownloadError, Synchronised
from gaitway.local.extensions.sagemaker.container import (
    BASE_DIRECTORY,
    CannotStartError,
    failure_of,
    image_of,
    prepare,
    synchronised,
)
from gaitway.local.extensions.sagemaker.errors import SageMakerError
from gaitway.local.extensions.sagemaker.model import TrainingJob
from gaitway.local.extensions.sagemaker.validation import check_training_job
from gaitway.local.runtime import HOST, Runtime
from gaitway.local.services import Json, create_log_stream, may_assume

logger = logging.getLogger("gaitway.sagemaker")

GRACE_SECONDS = 120.0
"""docs.aws.amazon.com/sagemaker/latest/APIReference/API_StopTrainingJob.html"""
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
"""docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html"""
_TOO_LONG = "Training job runtime exceeded MaxRuntimeInSeconds provided"
_LOST = "InternalServerError: We encountered an internal error. Please try again."
"""github.com/aws/sagemaker-python-sdk/issues/1082"""

Listener = Callable[[TrainingJob], None]


class TrainingJobs:
    """All training jobs. Every public method may be called from any thread.

    Attributes:
        listener: Told of each change of a training job.
    """

    def __init__(self, runtime: Runtime, agent: EcsAgent) -> None:
        self.listener: Listener = lambda job: None
        self._runtime = runtime
        self._agent = agent
        self._lock = threading.RLock()
        self._jobs: dict[str, TrainingJob] = {}
        self._running: dict[str, _Run] = {}
        self._closed = False

    def create(self, request: Json) -> TrainingJob:
        """CreateTrainingJob.

        Raises:
            SageMakerError: It is refused.
        """
        check_training_job(request)
        role = request["RoleArn"]
        if not may_assume("sagemaker.amazonaws.com", role):
            # github.com/aws/sagemaker-python-sdk/issues/4105
            raise SageMakerError(
                "ValidationException",
                f"Could not assume role {role}. Please ensure that the role exists and allows principal "
                "'sagemaker.amazonaws.com' to assume the role.",
            )
        with self._lock:
            if request["TrainingJobName"] in self._jobs:
                raise SageMakerError(
                    "ResourceInUse",
                    "Training job names must be unique within an AWS account and region, and a training job with this "
                    f"name already exists ({request['TrainingJobName']})",
                )
            job = self._jobs[request["TrainingJobName"]] = TrainingJob(request)
            run = self._running[job.name] = _Run(job, self._runtime, self._agent, self._move)
            thread = threading.Thread(target=self._run, args=(job, run), name=f"sagemaker-{job.name}", daemon=True)
            run.thread = thread
        thread.start()
        return job

    def get(self, name: str) -> TrainingJob:
        """Find a training job.

        Raises:
            SageMakerError: There is none.
        """
        job = self._jobs.get(name)
        if job is None:
            raise SageMakerError("ValidationException", "Requested resource not found.")
        return job

    def all(self) -> list[TrainingJob]:
        """Return all, the newest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def stop(self, name: str) -> None:
        """StopTrainingJob: the containers are asked to end, and have 120 seconds.

        Raises:
            SageMakerError: There is no such job, or it has ended.
        """
        job = self.get(name)
        with self._lock:
            if job.has_ended:
                raise SageMakerError(
                    "ValidationException",
                    f"The request was rejected because the training job is in status {job.status}.",
                )
            run = self._running.get(name)
            if job.status != "Stopping":
                self._move(job, "Stopping", "Stopping the training job", "Stopping")
        if run:
            run.stop("stopped")

    def interrupt(self, name: str) -> None:
        """Take the instances away under a training job, as a Spot reclaim does: an operation of the emulator's own.

        Whether a container hears of it before is not documented: here it does not.

        Raises:
            SageMakerError: It has no instances, or they are not Spot instances.
        """
        job = self.get(name)
        run = self._running.get(name)
        if run is None or not job.is_spot:
            raise SageMakerError("ValidationException", f"{name} has no Spot instances")
        run.interrupt()

    # Life of the emulator

    def to_state(self) -> list[Json]:
        """Return all training jobs, for `from_state` to restore."""
        with self._lock:
            return [job.to_state() for job in self._jobs.values()]

    def from_state(self, state: list[Json]) -> None:
        """Restore what `to_state` returned."""
        self._jobs = {job.name: job for job in (TrainingJob(**document) for document in state)}

    def resume(self) -> None:
        """Resume after a restart: what ran counts as lost by SageMaker."""
        for job in [job for job in self._jobs.values() if not job.has_ended]:
            job.failure_reason = _LOST
            self._move(job, "Failed", "Training job failed", "Failed")

    def close(self) -> None:
        """Kill what runs and start nothing more."""
        with self._lock:
            self._closed = True
            runs = list(self._running.values())
        for run in runs:
            run.kill()
        for run in runs:
            if run.thread is not None:
                run.thread.join(timeout=5)

    def reset(self) -> None:
        """Forget all jobs, and end those that run."""
        self.close()
        with self._lock:
            self._jobs.clear()
            self._running.clear()
            self._closed = False

    # Inside

    def _run(self, job: TrainingJob, run: _Run) -> None:
        try:
            run.run()
        except CannotStartError as error:
            job.failure_reason = f"ClientError: {error}"
            self._move(job, "Failed", "Training job failed", "Failed")
        except Exception as error:
            logger.exception("training job %s cannot run", job.name)
            job.failure_reason = f"InternalServerError: {error!r}"
            self._move(job, "Failed", "Training job failed", "Failed")
        finally:
            with self._lock:
                self._running.pop(job.name, None)

    def _move(self, job: TrainingJob, secondary: str, message: str, status: str | None = None) -> None:
        with self._lock:
            # A job that ends with the emulator keeps its visible state until the next emulator resumes it.
            if self._closed or job.has_ended:
                return
            job.move(secondary, message, status)
        self.listener(job)


class _Run:
    """The containers of a training job, from one interruption to the next."""

    def __init__(self, job: TrainingJob, runtime: Runtime, agent: EcsAgent, move: Callable[..., None]) -> None:
        self.thread: threading.Thread | None = None
        self._job = job
        self._runtime = runtime
        self._agent = agent
        self._move = move
        self._lock = threading.Lock()
        self._processes: list[ContainerProcess] = []
        self._synchronised: list[Synchronised] = []
        self._why: str | None = None
        self._is_interrupted = False
        self._directory = runtime.state_directory / "training" / job.name

    def run(self) -> None:
        """Run the job to its end.

        Raises:
            CannotStartError: It cannot start.
        """
        job = self._job
        limit = job.request["StoppingCondition"]["MaxRuntimeInSeconds"]
        timer = threading.Timer(limit, self.stop, ["timeout"])
        timer.daemon = True
        self._move(job, "Starting", "Starting the training job")
        self._move(job, "Pending", "Training job waiting for capacity")
        try:
            while True:
                self._move(job, "Downloading", "Downloading the training image")
                codes = self._attempt(timer)
                if not self._is_interrupted or self._why is not None:
                    break
                self._is_interrupted = False
                self._move(job, "Interrupted", "Instance was interrupted: Spot capacity was reclaimed")
                self._move(job, "Starting", "Starting the training job")
        finally:
            timer.cancel()
        self._end(codes)

    def stop(self, why: str) -> None:
        """Ask the containers to end."""
        with self._lock:
            self._why = self._why or why
            processes = [*self._processes]
        for process in processes:
            process.stop()

    def interrupt(self) -> None:
        """Take the instances away."""
        with self._lock:
            self._is_interrupted = True
        self.kill()

    def kill(self) -> None:
        """End the containers at once."""
        with self._lock:
            processes, directories = [*self._processes], [*self._synchronised]
        for directory in directories:
            # With the machine goes what SageMaker would have brought to S3 next.
            directory.end()
        for process in processes:
            process.kill()

    def _attempt(self, timer: threading.Timer) -> list[int]:
        """Run the containers of all hosts; return their exit codes."""
        job, hosts = self._job, self._job.hosts
        image = image_of(job)
        # On AWS each host has its own address, and its name leads there. Here all share one, so that ports must differ.
        shared = dict.fromkeys(image.port_variables, str(free_port())) | {"GAITWAY_MAIN_ADDRESS": HOST}
        began_at = time.time()
        tasks = [uuid.uuid4().hex for _ in hosts]
        try:
            specs = []
            for host, task_id in zip(hosts, tasks, strict=True):
                task = Task(task_id, job.arn, "", job.request["RoleArn"], datetime.now(UTC))
                given = shared | self._agent.lend(task, self._runtime)
                specs.append((host, prepare(job, host, self._place(host), given, image, self._runtime)))
            with self._lock:
                is_over = self._why is not None
            if is_over:
                return []
            self._synchronise()
            processes = []
            for host, spec in specs:
                stream = LogStream(LOG_GROUP, f"{job.name}/{host}-{int(time.time() * 1000)}")
                create_log_stream(stream.group, stream.name, create_group=True)
                mark = (BASE_DIRECTORY, spec.environment[BASE_DIRECTORY])
                try:
                    process = ContainerProcess(mark, spec, stream, self._runtime.guard, GRACE_SECONDS)
                except ContainerStartError as error:
                    raise CannotStartError(str(error)) from error
                processes.append(process)
            with self._lock:
                self._processes = processes
                is_over = self._why is not None
            job.started_at = job.started_at or time.time()
            if not timer.is_alive():
                timer.start()
            self._move(job, "Training", "Training image download completed. Training in progress.")
            if is_over:
                for process in processes:
                    process.stop()
            return self._wait(processes)
        finally:
            for task_id in tasks:
                self._agent.end(task_id)
            with self._lock:
                directories, self._processes, self._synchronised = self._synchronised, [], []
            for directory in directories:
                directory.end()
            job.billable_seconds += (time.time() - began_at) * len(hosts)

    def _synchronise(self) -> None:
        """Begin to keep directories of the hosts the same as what is in S3."""
        for host in self._job.hosts:
            directory = synchronised(self._job, self._place(host), self._runtime)
            if directory is None:
                return
            try:
                directory.start()
            except DownloadError as error:
                raise CannotStartError(f"Data download failed: {error}") from error
            with self._lock:
                self._synchronised.append(directory)

    def _wait(self, processes: list[ContainerProcess]) -> list[int]:
        """Wait for all; where one fails, the others are stopped."""
        codes: dict[int, int] = {}

        def wait(index: int) -> None:
            codes[index] = processes[index].wait()
            if codes[index] != 0:
                for other in processes:
                    other.stop()

        threads = [threading.Thread(target=wait, args=(index,), daemon=True) for index in range(len(processes))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [codes[index] for index in range(len(processes))]

    def _end(self, codes: list[int]) -> None:
        job = self._job
        failed = next((index for index, code in enumerate(codes) if code != 0), None)
        if codes:
            self._move(job, "Uploading", "Uploading generated training model")
        if self._why == "timeout":
            self._move(
                job, "MaxRuntimeExceeded", "Training job runtime exceeded MaxRuntimeInSeconds provided", "Stopped"
            )
        elif self._why is not None:
            self._move(job, "Stopped", "Training job stopped", "Stopped")
        elif failed is not None:
            said = failure_of(self._place(job.hosts[failed]))
            # github.com/aws-samples/amazon-sagemaker-ml-pipeline-deploy-with-terraform/issues/12
            job.failure_reason = f"AlgorithmError: {said}, exit code: {codes[failed]}"
            self._move(job, "Failed", "Training job failed", "Failed")
        else:
            self._move(job, "Completed", "Training job completed", "Completed")

    def _place(self, host: str) -> Path:
        return self._directory / host
