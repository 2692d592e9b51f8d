"""AWS Batch's HTTP API: a table from path to operation, in the form of a MiniStack service module."""

import json
from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import unquote

from gaitway.local.extensions.batch.errors import ClientError
from gaitway.local.extensions.batch.jobs import Jobs
from gaitway.local.extensions.batch.model import Job, JobStatus
from gaitway.local.extensions.batch.resources import Resources, name_of
from gaitway.local.runtime import Runtime
from gaitway.local.services import Json, Response, error_response, json_response

_SUMMARY_FIELDS = {
    "createdAt", "jobArn", "jobDefinition", "jobId", "jobName", "startedAt", "status", "statusReason", "stoppedAt",
}  # fmt: skip


class Part(Protocol):
    """A part of Batch that another extension supplies."""

    name: str

    def check_queue(self, request: Json) -> None:
        """Check what a new queue refers to."""

    def tags(self, resource_arn: str) -> dict[str, str] | None:
        """Return the tags of one of its resources; None for any other."""

    def dispatch(self) -> None:
        """Start what waits, as far as there is room."""

    def to_state(self) -> Json:
        """Return everything, for `from_state` to restore."""

    def from_state(self, state: Json) -> None:
        """Restore what `to_state` returned."""

    def close(self) -> None:
        """Start nothing more, and kill what runs."""

    def reset(self) -> None:
        """Forget everything."""


class BatchService:
    """What MiniStack needs from a service: requests, and state to save, restore and reset."""

    def __init__(self, runtime: Runtime) -> None:
        self.resources = Resources()
        self.jobs = Jobs(self.resources, runtime)
        self.parts: list[Part] = []
        resources, jobs = self.resources, self.jobs
        self._operations: dict[str, Callable[[Json], Json]] = {
            "createcomputeenvironment": resources.create_compute_environment,
            "updatecomputeenvironment": resources.update_compute_environment,
            "deletecomputeenvironment": self.delete_compute_environment,
            "describecomputeenvironments": resources.describe_compute_environments,
            "createjobqueue": self.create_job_queue,
            "updatejobqueue": resources.update_job_queue,
            "deletejobqueue": self.delete_job_queue,
            "describejobqueues": resources.describe_job_queues,
            "registerjobdefinition": resources.register_job_definition,
            "deregisterjobdefinition": resources.deregister_job_definition,
            "describejobdefinitions": resources.describe_job_definitions,
            "submitjob": self._submit_job,
            "describejobs": lambda request: {"jobs": [job.to_aws() for job in jobs.get(request["jobs"])]},
            "listjobs": self._list_jobs,
            "terminatejob": self._terminate_job,
            "canceljob": self._cancel_job,
        }

    def add(self, part: Part, operations: Mapping[str, Callable[[Json], Json]]) -> None:
        """Add a part, with what it answers."""
        self.parts.append(part)
        self._operations |= operations

    async def handle_request(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, list[str]]
    ) -> Response:
        """Answer one request."""
        try:
            if path.startswith("/v1/tags/"):
                return json_response(self._tags(method, unquote(path.removeprefix("/v1/tags/")), body, query_params))
            name = path.rstrip("/").removeprefix("/v1/").lower()
            operation = self._operations.get(name)
            if operation is None:
                return error_response("ClientException", f"{path} is not supported by the embedded AWS Batch")
            response = operation(json.loads(body or b"{}"))
            if name.startswith("update"):
                # There may be room now for jobs that wait.
                self.jobs.dispatch()
                for part in self.parts:
                    part.dispatch()
            return json_response(response)
        except KeyError as error:
            return error_response("ClientException", f"Error executing request, Exception : {error} is required")
        except ClientError as error:
            return error_response("ClientException", str(error))

    def get_state(self) -> Json:
        """Return what is saved when the emulator stops."""
        parts = {part.name: part.to_state() for part in self.parts}
        return {"resources": self.resources.to_state(), "jobs": self.jobs.to_state(), **parts}

    def load_persisted_state(self, state: Json) -> None:
        """Restore what was saved."""
        self.resources.from_state(state["resources"])
        self.jobs.from_state(state["jobs"])
        for part in self.parts:
            # An older emulator has not saved it.
            if part.name in state:
                part.from_state(state[part.name])

    def reset(self) -> None:
        """Forget everything."""
        self.jobs.reset()
        for part in self.parts:
            part.reset()
        self.resources.from_state(Resources().to_state())

    def create_job_queue(self, request: Json) -> Json:
        """CreateJobQueue."""
        for part in self.parts:
            part.check_queue(request)
        return self.resources.create_job_queue(request)

    def delete_compute_environment(self, request: Json) -> Json:
        """DeleteComputeEnvironment: its instances go, and the jobs on them lose their host."""
        self.resources.delete_compute_environment(request)
        self.jobs.lose_instances(name_of(request["computeEnvironment"]))
        return {}

    def delete_job_queue(self, request: Json) -> Json:
        """DeleteJobQueue: its jobs end."""
        queue = self.resources.job_queues.get(name_of(request["jobQueue"]))
        self.resources.delete_job_queue(request)
        if queue:
            self.jobs.end_queue(queue["jobQueueArn"])
        return {}

    def tags_of(self, resource_arn: str) -> dict[str, str]:
        """Return a resource's tags, to read or to change."""
        for part in self.parts:
            tags = part.tags(resource_arn)
            if tags is not None:
                return tags
        return self.resources.tags(resource_arn)

    def _submit_job(self, request: Json) -> Json:
        job = self.jobs.submit(request)
        return {"jobArn": job.job_arn, "jobId": job.job_id, "jobName": job.job_name}

    def _terminate_job(self, request: Json) -> Json:
        self.jobs.terminate(request["jobId"], request["reason"])
        return {}

    def _cancel_job(self, request: Json) -> Json:
        self.jobs.cancel(request["jobId"], request["reason"])
        return {}

    def _list_jobs(self, request: Json) -> Json:
        """ListJobs: the jobs of a queue, or the nodes of a job.

        By status, which is RUNNING unless given; or by filter, and then of any status.
        """
        if "multiNodeJobId" in request:
            jobs = self.jobs.nodes(request["multiNodeJobId"])
        else:
            jobs = self.jobs.of_queue(self.resources.job_queue(request["jobQueue"])["jobQueueArn"])
        if filters := request.get("filters"):
            jobs = [job for job in jobs if all(_passes(job, item) for item in filters)]
        else:
            status = JobStatus(request.get("jobStatus", JobStatus.RUNNING))
            jobs = [job for job in jobs if job.status is status]
        start = int(request.get("nextToken", 0))
        end = start + int(request.get("maxResults", 100))
        response: Json = {"jobSummaryList": [self._summary(job) for job in jobs[start:end]]}
        return response | {"nextToken": str(end)} if end < len(jobs) else response

    def _summary(self, job: Job) -> Json:
        """Describe a job or a node shortly: docs.aws.amazon.com/batch/latest/APIReference/API_JobSummary.html."""
        summary = {key: value for key, value in job.to_aws().items() if key in _SUMMARY_FIELDS}
        if job.node_properties:
            summary["nodeProperties"] = {"numNodes": job.node_properties.num_nodes}
        elif job.node_details:
            num_nodes = len(self.jobs.nodes(job.job_id.partition("#")[0]))
            summary["nodeProperties"] = job.node_details.to_aws() | {"numNodes": num_nodes}
        if job.container:
            container = {"exitCode": job.container.exit_code, "reason": job.container.reason}
            summary["container"] = {key: value for key, value in container.items() if value is not None}
        return summary

    def _tags(self, method: str, resource_arn: str, body: bytes, query_params: dict[str, list[str]]) -> Json:
        tags = self.tags_of(resource_arn)
        if method == "GET":
            return {"tags": tags}
        if method == "POST":
            tags.update(json.loads(body)["tags"])
        else:
            for key in query_params.get("tagKeys", []):
                tags.pop(key, None)
        return {}


def _passes(job: Job, item: Json) -> bool:
    """Apply one filter of ListJobs: a star at the end of a value matches any text; case is ignored."""
    name, values = item["name"], [value.lower() for value in item["values"]]
    if name == "AFTER_CREATED_AT":
        return any(job.created_at > int(value) for value in values)
    if name == "BEFORE_CREATED_AT":
        return any(job.created_at < int(value) for value in values)
    text = {"JOB_NAME": job.job_name, "JOB_DEFINITION": job.job_definition}.get(name)
    if text is None:
        raise ClientError(f"Invalid filter name: {name}")
    return any(
        text.lower().startswith(value[:-1]) if value.endswith("*") else text.lower() == value for value in values
    )
