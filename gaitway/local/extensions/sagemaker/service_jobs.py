"""Service jobs: Batch queues them, and SageMaker runs them as training jobs.

docs.aws.amazon.com/batch/latest/userguide/service-jobs.html
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterable

from gaitway.local.extensions.batch.errors import ClientError
from gaitway.local.extensions.batch.quotas import check_service_job
from gaitway.local.extensions.batch.resources import Resources, arn
from gaitway.local.extensions.batch.submission import now_ms
from gaitway.local.extensions.sagemaker.errors import SageMakerError
from gaitway.local.extensions.sagemaker.model import TrainingJob, training_job_arn
from gaitway.local.extensions.sagemaker.service_environments import SERVICE_JOBS, ServiceEnvironments
from gaitway.local.extensions.sagemaker.training_jobs import TrainingJobs
from gaitway.local.services import Json, put_event

SAID = "Received status from SageMaker: "
TIMED_OUT = "Job attempt duration exceeded timeout"
"""As for other jobs: what it is for service jobs is not documented."""
_ENDED = ("SUCCEEDED", "FAILED")
_STATES = {
    "Pending": "SCHEDULED",
    "Starting": "SCHEDULED",
    "Downloading": "STARTING",
    "Training": "RUNNING",
    "Uploading": "RUNNING",
}
"""docs.aws.amazon.com/batch/latest/userguide/service-job-status.html. Other secondary statuses are not in its table: a
job keeps its state then."""
_ORDER = ("SUBMITTED", "RUNNABLE", "SCHEDULED", "STARTING", "RUNNING")
_NOT_IN_EVENTS = ("serviceRequestPayload", "tags")
"""docs.aws.amazon.com/batch/latest/userguide/service-job-events.html"""
_SUMMARY = (
    "capacityUsage", "createdAt", "jobArn", "jobId", "jobName", "latestAttempt", "scheduledAt", "serviceJobType",
    "shareIdentifier", "startedAt", "status", "statusReason", "stoppedAt", "isTerminated",
)  # fmt: skip


class ServiceJobs:
    """All service jobs, as DescribeServiceJob shows them. Every public method may be called from any thread."""

    def __init__(self, resources: Resources, environments: ServiceEnvironments, training: TrainingJobs) -> None:
        self._resources = resources
        self._environments = environments
        self._training = training
        training.listener = self._follow
        # Events are put while it is held, so that they arrive in the order of the states.
        self._lock = threading.RLock()
        self._jobs: dict[str, Json] = {}
        self._tokens: dict[tuple[str, str], str] = {}
        self._timers: dict[str, threading.Timer] = {}
        self._closed = False

    def submit(self, request: Json) -> Json:
        """SubmitServiceJob. The payload is not looked at: SageMaker does that.

        docs.aws.amazon.com/batch/latest/userguide/service-job-submit.html. Requests with one token and one payload are
        one request: docs.aws.amazon.com/batch/latest/APIReference/API_SubmitServiceJob.html
        """
        check_service_job(request)
        queue = self._resources.job_queue(request["jobQueue"])
        if queue.get("jobQueueType") != SERVICE_JOBS:
            raise ClientError(f"Job Queue {queue['jobQueueName']} is not of the type {SERVICE_JOBS}.")
        if queue["state"] != "ENABLED":
            raise ClientError(f"Job Queue {queue['jobQueueName']} is not in ENABLED state.")
        if ("shareIdentifier" in request) != ("schedulingPolicyArn" in queue):
            raise ClientError("shareIdentifier must be specified if, and only if, the queue has a fair share policy")
        with self._lock:
            # The SDK sends a token with each request, and the same when it tries again.
            asked = (request.get("clientToken", ""), request["serviceRequestPayload"])
            if asked[0] and asked in self._tokens:
                return _submitted(self._jobs[self._tokens[asked]])
            job_id = str(uuid.uuid4())
            self._tokens[asked] = job_id
            job = self._jobs[job_id] = {
                "jobId": job_id,
                "jobArn": arn("service-job", job_id),
                **{key: request[key] for key in request if key not in ("clientToken", "jobQueue")},
                "jobQueue": queue["jobQueueArn"],
                "retryStrategy": request.get("retryStrategy", {"attempts": 1}),
                "createdAt": now_ms(),
                # The model requires it of every description.
                "startedAt": 0,
                "isTerminated": False,
                "attempts": [],
                # No event tells of the submission.
                "status": "SUBMITTED",
            }
            self._move(job, "RUNNABLE")
        self.dispatch()
        return _submitted(job)

    def describe(self, request: Json) -> Json:
        """DescribeServiceJob."""
        job = self._jobs.get(request["jobId"])
        if job is None:
            raise ClientError(f"Service job {request['jobId']} does not exist")
        return job

    def list_(self, request: Json) -> Json:
        """ListServiceJobs: the newest first; by status, which is RUNNING unless given, or by filter."""
        queue = self._resources.job_queue(request["jobQueue"])["jobQueueArn"]
        with self._lock:
            jobs = [job for job in reversed(self._jobs.values()) if job["jobQueue"] == queue]
        filters = request.get("filters", [])
        if len(filters) > 1:
            raise ClientError("only one filter can be used at a time")
        for item in filters:
            if item["name"] != "JOB_NAME":
                raise ClientError(f"Invalid filter name: {item['name']}")
            jobs = [job for job in jobs if _is_named(job, item["values"])]
        if not filters:
            jobs = [job for job in jobs if job["status"] == request.get("jobStatus", "RUNNING")]
        start = int(request.get("nextToken", 0))
        end = start + min(int(request.get("maxResults", 100)), 100)
        page = [{key: job[key] for key in _SUMMARY if key in job} for job in jobs[start:end]]
        return {"jobSummaryList": page} | ({"nextToken": str(end)} if end < len(jobs) else {})

    def terminate(self, request: Json) -> Json:
        """TerminateServiceJob: it does nothing to a job that has ended."""
        reason = request["reason"]
        with self._lock:
            job = self._jobs.get(request["jobId"])
            if job is None or job["status"] in _ENDED:
                return {}
            job["isTerminated"] = True
            job["statusReason"] = reason
            if job["status"] == "RUNNABLE":
                self._end(job, "FAILED", reason)
                return {}
            name = _training_job(job)
        self._stop(name)
        return {}

    def update(self, request: Json) -> Json:
        """UpdateServiceJob: the priority of a job that waits."""
        job = self.describe(request)
        job["schedulingPriority"] = request["schedulingPriority"]
        return _submitted(job)

    def tags(self, resource_arn: str) -> dict[str, str]:
        """Return a job's tags."""
        job = self._jobs.get(resource_arn.rpartition("/")[2], {})
        found: dict[str, str] = job.get("tags", {})
        return found

    def dispatch(self) -> None:
        """Hand waiting jobs to SageMaker, as far as there is room: of each queue the share first that uses least."""
        while (job := self._next()) is not None:
            self._create(job)

    # Life of the emulator

    def to_state(self) -> list[Json]:
        """Return all jobs, for `from_state` to restore."""
        with self._lock:
            return [*self._jobs.values()]

    def from_state(self, state: list[Json]) -> None:
        """Restore what `to_state` returned."""
        self._jobs = {job["jobId"]: job for job in state}

    def close(self) -> None:
        """Start nothing more."""
        with self._lock:
            self._closed = True
            for timer in self._timers.values():
                timer.cancel()

    def reset(self) -> None:
        """Forget all jobs."""
        with self._lock:
            self._jobs.clear()
            self._tokens.clear()
            self._closed = False

    # Inside

    def _next(self) -> Json | None:
        with self._lock:
            if self._closed:
                return None
            for queue in self._resources.job_queues.values():
                waiting = [job for job in self._of(queue) if job["status"] == "RUNNABLE"]
                if not waiting:
                    continue
                used: dict[str, int] = {}
                for job in self._of(queue):
                    if job["status"] in ("SCHEDULED", "STARTING", "RUNNING"):
                        share = job.get("shareIdentifier", "")
                        used[share] = used.get(share, 0) + _instances(job)
                first = min(
                    waiting,
                    key=lambda job: (
                        used.get(job.get("shareIdentifier", ""), 0),
                        -job.get("schedulingPriority", 0),
                        job["createdAt"],
                    ),
                )
                if self._fits(first, queue):
                    first["scheduledAt"] = now_ms()
                    self._move(first, "SCHEDULED")
                    return first
        return None

    def _of(self, queue: Json) -> list[Json]:
        return [job for job in self._jobs.values() if job["jobQueue"] == queue["jobQueueArn"]]

    def _fits(self, job: Json, queue: Json) -> bool:
        for name in self._environments.names_of(queue):
            environment = self._environments.environment(name)
            room = int(environment["capacityLimits"][0]["maxCapacity"])
            active = [one for one in self._of(queue) if one["status"] in ("SCHEDULED", "STARTING", "RUNNING")]
            if environment["state"] == "ENABLED" and sum(map(_instances, active)) + _instances(job) <= room:
                return True
        return False

    def _create(self, job: Json) -> None:
        """Create the training job of an attempt."""
        payload = _payload(job)
        # docs.aws.amazon.com/batch/latest/userguide/service-job-events.html
        name = f"AWSBatch{payload.get('TrainingJobName', '')}{uuid.uuid4().hex}"
        resource = {"serviceResourceId": {"name": "TrainingJobArn", "value": training_job_arn(name)}}
        tags = [*payload.get("Tags", []), {"Key": "AWS_BATCH_JOB_ARN", "Value": job["jobArn"]}]
        with self._lock:
            job["latestAttempt"] = resource
        try:
            self._training.create(payload | {"TrainingJobName": name, "Tags": tags})
        except SageMakerError as error:
            with self._lock:
                self._attempt_ended(job, f"{SAID}{error.code}: {error}", has_succeeded=False, began_at=None)
            return
        seconds = job.get("timeoutConfig", {}).get("attemptDurationSeconds")
        if seconds is not None:
            timer = self._timers[job["jobId"]] = threading.Timer(seconds, self._time_is_over, [job, name])
            timer.daemon = True
            timer.start()

    def _follow(self, training: TrainingJob) -> None:
        """Bring a job where its training job is."""
        with self._lock:
            job = next((job for job in self._jobs.values() if _training_job(job) == training.name), None)
            if job is None or job["status"] in _ENDED or self._closed:
                return
            if training.has_ended:
                if timer := self._timers.pop(job["jobId"], None):
                    timer.cancel()
                words = training.failure_reason or training.message
                began_at = int((training.started_at or training.created_at) * 1000)
                self._attempt_ended(
                    job, f"{SAID}{words}", has_succeeded=training.status == "Completed", began_at=began_at
                )
            else:
                state = _STATES.get(training.secondary_status)
                # Whether a job goes back whose training job starts on another Spot instance is not documented.
                if state is not None and _ORDER.index(state) > _ORDER.index(job["status"]):
                    if state == "RUNNING":
                        job["startedAt"] = now_ms()
                    self._move(job, state)
        if training.has_ended:
            self.dispatch()

    def _attempt_ended(self, job: Json, reason: str, *, has_succeeded: bool, began_at: int | None) -> None:
        now = now_ms()
        ended = job["latestAttempt"] | {"startedAt": began_at or now, "stoppedAt": now, "statusReason": reason}
        job["attempts"].append(ended)
        stopped = bool(job.get("isTerminated")) or job.pop("timedOut", False)
        if has_succeeded:
            self._end(job, "SUCCEEDED", reason)
        elif stopped:
            self._end(job, "FAILED", job.get("statusReason") or reason)
        elif _is_retried(job, reason):
            self._move(job, "RUNNABLE", reason)
        else:
            self._end(job, "FAILED", reason)

    def _time_is_over(self, job: Json, name: str) -> None:
        with self._lock:
            if job["status"] in _ENDED or _training_job(job) != name:
                return
            job["timedOut"] = True
            job["statusReason"] = TIMED_OUT
        self._stop(name)

    def _stop(self, name: str | None) -> None:
        if name is None:
            return
        try:
            self._training.stop(name)
        except SageMakerError:
            # It has ended at this moment.
            return

    def _end(self, job: Json, status: str, reason: str) -> None:
        job["stoppedAt"] = now_ms()
        self._move(job, status, reason)

    def _move(self, job: Json, status: str, reason: str | None = None) -> None:
        if self._closed:
            return
        job["status"] = status
        if reason is not None:
            job["statusReason"] = reason
        detail = {key: value for key, value in job.items() if key not in _NOT_IN_EVENTS}
        put_event("aws.batch", "Batch Service Job State Change", detail, [job["jobArn"]])


def _training_job(job: Json) -> str | None:
    resource = job.get("latestAttempt", {}).get("serviceResourceId", {})
    return str(resource["value"]).rpartition("/")[2] if resource else None


def _payload(job: Json) -> Json:
    payload: Json = json.loads(job["serviceRequestPayload"])
    return payload


def _instances(job: Json) -> int:
    count = _payload(job).get("ResourceConfig", {}).get("InstanceCount", 1)
    return count if isinstance(count, int) else 1


def _submitted(job: Json) -> Json:
    return {key: job[key] for key in ("jobArn", "jobName", "jobId")}


def _is_named(job: Json, values: Iterable[str]) -> bool:
    name = str(job["jobName"]).lower()
    return any(
        name.startswith(value[:-1].lower()) if value.endswith("*") else name == value.lower() for value in values
    )


def _is_retried(job: Json, reason: str) -> bool:
    """Decide as docs.aws.amazon.com/batch/latest/userguide/service-job-retries.html says.

    The first rule that matches decides; whether a failure that no rule matches is retried is documented for other jobs
    only, where it is.
    """
    strategy = job["retryStrategy"]
    if len(job["attempts"]) >= strategy["attempts"]:
        return False
    for rule in strategy.get("evaluateOnExit", []):
        pattern = rule.get("onStatusReason", "*").lower()
        text = reason.lower()
        if text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern:
            return bool(rule["action"] == "RETRY")
    return True
