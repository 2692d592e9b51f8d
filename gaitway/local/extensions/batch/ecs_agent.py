"""What the ECS agent provides to a container: the credentials of its job's role, and the metadata of its task.

On an instance the agent answers at 169.254.170.2, an address that no process of a laptop can listen on. Here it answers
at the emulator's own, so that credentials have a full address instead of one that is relative to the agent's:
docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gaitway.local.runtime import Runtime
from gaitway.local.services import Json, Response, error_response, json_response, may_assume, open_role_session

_CREDENTIALS = "/ecs-agent/credentials/"
_METADATA = "/ecs-agent/v4/"
_PATH = re.compile(rf"(?:{_CREDENTIALS}(?P<credentials>\w+)|{_METADATA}(?P<metadata>\w+)/task)")

CREDENTIALS_LAST = timedelta(hours=6)
"""AWS does not say for how long; a client fetches new ones before they end."""


class TaskStartError(Exception):
    """ECS cannot start the task; the message is the reason that is shown as the attempt's."""


@dataclass(frozen=True)
class Task:
    """The task of one container."""

    task_id: str
    """As its ARN ends."""
    task_arn: str
    image: str
    role_arn: str | None
    """The job's role; without one a task has no credentials."""
    started_at: datetime


class EcsAgent:
    """The agent of the instance that all jobs run on. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[str, Task] = {}

    def begin(self, task: Task, runtime: Runtime) -> dict[str, str]:
        """Register a task.

        Raises:
            TaskStartError: The job's role cannot be assumed.

        Returns:
            The environment variables that ECS sets in its container, without those of the region:
            docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-environment-variables.html.
            Agents before github.com/aws/amazon-ecs-agent/pull/4946 set no region, and later ones set none where the
            task definition sets one of the two variables.
        """
        if task.role_arn and not may_assume("ecs-tasks.amazonaws.com", task.role_arn):
            # ECS's message: github.com/aws-samples/aws-modern-application-workshop/issues/149
            raise TaskStartError(
                f"ECS was unable to assume the role '{task.role_arn}' that was provided for this task. Please verify "
                "that the role being passed has the proper trust relationship and permissions and that your IAM user "
                "has permissions to pass this role."
            )
        with self._lock:
            self._tasks[task.task_id] = task
        metadata = f"{runtime.endpoint_url}{_METADATA}{task.task_id}"
        variables = {
            "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
            "ECS_CONTAINER_METADATA_URI_V4": metadata,
        }
        if task.role_arn:
            variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{runtime.endpoint_url}{_CREDENTIALS}{task.task_id}"
        return variables

    def lend(self, task: Task, runtime: Runtime) -> dict[str, str]:
        """Register a container that is no task of ECS; return the variable that tells it where its credentials are."""
        with self._lock:
            self._tasks[task.task_id] = task
        return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{runtime.endpoint_url}{_CREDENTIALS}{task.task_id}"}

    def end(self, task_id: str) -> None:
        """Forget a task: its container receives no answers any more."""
        with self._lock:
            self._tasks.pop(task_id, None)

    def answer(self, path: str) -> Response | None:
        """Answer a container's request; None where it is none."""
        match = _PATH.fullmatch(path)
        if match is None:
            return None
        with self._lock:
            task = self._tasks.get(match["credentials"] or match["metadata"])
        if task is None:
            return error_response("ResourceNotFoundException", "no such task runs on this instance")
        if match["metadata"]:
            return json_response(_metadata(task))
        if task.role_arn is None:
            return error_response("ResourceNotFoundException", "the task has no role")
        session = open_role_session(task.role_arn, task.task_id, CREDENTIALS_LAST.total_seconds())
        return json_response(credentials_document(task.role_arn, *session))


def credentials_document(role_arn: str, access_key: str, secret_key: str, token: str) -> Json:
    """Write credentials as the agent does: docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html."""
    return {
        "RoleArn": role_arn,
        "AccessKeyId": access_key,
        "SecretAccessKey": secret_key,
        "Token": token,
        "Expiration": _written(datetime.now(UTC) + CREDENTIALS_LAST),
    }


def _metadata(task: Task) -> Json:
    """Describe a task whose image was there already.

    docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-response.html
    """
    return {
        "TaskARN": task.task_arn,
        "PullStartedAt": _written(task.started_at),
        "PullStoppedAt": _written(task.started_at),
        "LaunchType": "EC2",
        "Containers": [{"Name": "default", "Type": "NORMAL", "Image": task.image}],
    }


def _written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
