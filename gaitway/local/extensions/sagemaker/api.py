"""SageMaker's HTTP API: a table from operation to method, in the form of a MiniStack service module."""

from __future__ import annotations

import json
from collections.abc import Callable

from gaitway.local.extensions.sagemaker.errors import SageMakerError
from gaitway.local.extensions.sagemaker.training_jobs import TrainingJobs
from gaitway.local.services import Json, Response


class SageMakerService:
    """What MiniStack needs from a service: requests, and state to save, restore and reset."""

    def __init__(self, jobs: TrainingJobs) -> None:
        self.jobs = jobs
        self._operations: dict[str, Callable[[Json], Json]] = {
            "CreateTrainingJob": lambda request: {"TrainingJobArn": jobs.create(request).arn},
            "DescribeTrainingJob": lambda request: jobs.get(request["TrainingJobName"]).to_aws(),
            "StopTrainingJob": self._stop,
            "ListTrainingJobs": self._list,
        }

    async def handle_request(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, list[str]]
    ) -> Response:
        """Answer one request."""
        del method, path, query_params
        name = headers.get("x-amz-target", "").rpartition(".")[2]
        operation = self._operations.get(name)
        if operation is None:
            return _refusal("ValidationException", f"{name} is not supported by the embedded SageMaker")
        try:
            return _answer(200, operation(json.loads(body or b"{}")))
        except SageMakerError as error:
            return _refusal(error.code, str(error))
        except KeyError as error:
            return _refusal("ValidationException", f"Value null at {error} failed to satisfy constraint: not null")

    def get_state(self) -> Json:
        """Return what is saved when the emulator stops."""
        return {"jobs": self.jobs.to_state()}

    def load_persisted_state(self, state: Json) -> None:
        """Restore what was saved."""
        self.jobs.from_state(state["jobs"])

    def reset(self) -> None:
        """Forget everything."""
        self.jobs.reset()

    def _stop(self, request: Json) -> Json:
        self.jobs.stop(request["TrainingJobName"])
        return {}

    def _list(self, request: Json) -> Json:
        wanted, part = request.get("StatusEquals"), request.get("NameContains", "")
        found = [job for job in self.jobs.all() if job.status == (wanted or job.status) and part in job.name]
        return {
            "TrainingJobSummaries": [
                {
                    "TrainingJobName": job.name,
                    "TrainingJobArn": job.arn,
                    "CreationTime": job.created_at,
                    "TrainingJobStatus": job.status,
                }
                for job in found
            ]
        }


def _refusal(code: str, message: str) -> Response:
    return _answer(400, {"__type": code, "message": message})


def _answer(status: int, document: Json) -> Response:
    # MiniStack adds to the headers of an answer: each has its own.
    return status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(document).encode()
