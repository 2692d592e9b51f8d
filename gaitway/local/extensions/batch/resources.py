"""Compute environments, job queues and job definitions.

They are kept as the documents that AWS's own Describe calls return. The emulator has one account and one region.
"""

from typing import Any

from gaitway.local.extensions.batch.errors import ClientError
from gaitway.local.extensions.batch.node_ranges import check_node_properties
from gaitway.local.extensions.batch.quotas import check_definition, check_number_of_environments, check_queue
from gaitway.local.runtime import ACCOUNT_ID, REGION
from gaitway.local.services import Json

_DEFINITION_FIELDS = {
    "containerProperties",
    "ecsProperties",
    "nodeProperties",
    "parameters",
    "platformCapabilities",
    "propagateTags",
    "retryStrategy",
    "schedulingPriority",
    "tags",
    "timeout",
}


def arn(kind: str, name: str) -> str:
    """Return the ARN of a Batch resource."""
    return f"arn:aws:batch:{REGION}:{ACCOUNT_ID}:{kind}/{name}"


def name_of(reference: str) -> str:
    """Return the name in a reference, which may be a name or an ARN."""
    return reference.rpartition("/")[2] if reference.startswith("arn:") else reference


class Resources:
    """The resources that jobs need, by name."""

    def __init__(self) -> None:
        self.compute_environments: dict[str, Json] = {}
        self.job_queues: dict[str, Json] = {}
        self.job_definitions: dict[str, list[Json]] = {}
        """All revisions of a definition, the oldest first."""

    def to_state(self) -> Json:
        """Return everything, for `from_state` to restore."""
        return {
            "compute_environments": self.compute_environments,
            "job_queues": self.job_queues,
            "job_definitions": self.job_definitions,
        }

    def from_state(self, state: Json) -> None:
        """Restore what `to_state` returned."""
        self.compute_environments = state["compute_environments"]
        self.job_queues = state["job_queues"]
        self.job_definitions = state["job_definitions"]

    # Compute environments

    def create_compute_environment(self, request: Json) -> Json:
        """CreateComputeEnvironment."""
        check_number_of_environments(self.compute_environments)
        name = request["computeEnvironmentName"]
        if name in self.compute_environments:
            raise ClientError(f"Object already exists: {name}")
        self.compute_environments[name] = {
            **request,
            "computeEnvironmentArn": arn("compute-environment", name),
            "ecsClusterArn": f"arn:aws:ecs:{REGION}:{ACCOUNT_ID}:cluster/{name}",
            "state": request.get("state", "ENABLED"),
            "status": "VALID",
            "statusReason": "ComputeEnvironment Healthy",
            "computeResources": request.get("computeResources", {}),
            "tags": request.get("tags", {}),
        }
        return _pick(self.compute_environments[name], "computeEnvironmentName", "computeEnvironmentArn")

    def update_compute_environment(self, request: Json) -> Json:
        """UpdateComputeEnvironment: what the request does not name stays."""
        environment = self.compute_environment(request["computeEnvironment"])
        changes = {key: value for key, value in request.items() if key not in {"computeEnvironment", "updatePolicy"}}
        changes["computeResources"] = environment["computeResources"] | request.get("computeResources", {})
        environment.update(changes)
        return _pick(environment, "computeEnvironmentName", "computeEnvironmentArn")

    def delete_compute_environment(self, request: Json) -> Json:
        """DeleteComputeEnvironment: it must be disabled, and in no queue."""
        name = name_of(request["computeEnvironment"])
        environment = self.compute_environments.get(name)
        if environment:
            if environment["state"] != "DISABLED":
                raise ClientError(f"Cannot delete, resource is not in state DISABLED: {name}")
            if any(name in self.compute_environment_names(queue) for queue in self.job_queues.values()):
                raise ClientError("Cannot delete, found existing JobQueue relationship")
            del self.compute_environments[name]
        return {}

    def describe_compute_environments(self, request: Json) -> Json:
        """DescribeComputeEnvironments."""
        return {"computeEnvironments": _select(self.compute_environments, request.get("computeEnvironments"))}

    def compute_environment(self, reference: str) -> Json:
        """Return a compute environment.

        Raises:
            ClientError: It does not exist.
        """
        return _get(self.compute_environments, reference)

    # Job queues

    def create_job_queue(self, request: Json) -> Json:
        """CreateJobQueue."""
        check_queue(request.get("computeEnvironmentOrder", []), self.job_queues)
        name = request["jobQueueName"]
        if name in self.job_queues:
            raise ClientError(f"Object already exists: {name}")
        for order in request.get("computeEnvironmentOrder", []):
            self.compute_environment(order["computeEnvironment"])
        self.job_queues[name] = {
            **request,
            "jobQueueArn": arn("job-queue", name),
            "state": request.get("state", "ENABLED"),
            "status": "VALID",
            "statusReason": "JobQueue Healthy",
            "priority": request.get("priority", 1),
            "computeEnvironmentOrder": request.get("computeEnvironmentOrder", []),
            "tags": request.get("tags", {}),
        }
        return _pick(self.job_queues[name], "jobQueueName", "jobQueueArn")

    def update_job_queue(self, request: Json) -> Json:
        """UpdateJobQueue: what the request does not name stays."""
        queue = self.job_queue(request["jobQueue"])
        check_queue(request.get("computeEnvironmentOrder", []))
        queue.update({key: value for key, value in request.items() if key != "jobQueue"})
        return _pick(queue, "jobQueueName", "jobQueueArn")

    def delete_job_queue(self, request: Json) -> Json:
        """DeleteJobQueue: it must be disabled."""
        name = name_of(request["jobQueue"])
        if name in self.job_queues:
            if self.job_queues[name]["state"] != "DISABLED":
                raise ClientError(f"Cannot delete, resource is not in state DISABLED: {name}")
            del self.job_queues[name]
        return {}

    def describe_job_queues(self, request: Json) -> Json:
        """DescribeJobQueues."""
        return {"jobQueues": _select(self.job_queues, request.get("jobQueues"))}

    def job_queue(self, reference: str) -> Json:
        """Return a job queue.

        Raises:
            ClientError: It does not exist.
        """
        return _get(self.job_queues, reference)

    def compute_environment_names(self, queue: Json) -> list[str]:
        """Return the names of a queue's compute environments, in the order in which jobs are placed on them."""
        orders = sorted(queue["computeEnvironmentOrder"], key=lambda order: int(order["order"]))
        return [name_of(order["computeEnvironment"]) for order in orders]

    # Job definitions

    def register_job_definition(self, request: Json) -> Json:
        """RegisterJobDefinition: each registration is a new revision; numbers are not used twice."""
        check_definition(request)
        name = request["jobDefinitionName"]
        if (request.get("type") == "multinode") != ("nodeProperties" in request):
            raise ClientError("nodeProperties and the type multinode belong together")
        if "nodeProperties" in request:
            check_node_properties(request["nodeProperties"])
        revisions = self.job_definitions.setdefault(name, [])
        revision = len(revisions) + 1
        definition = {
            "jobDefinitionName": name,
            "jobDefinitionArn": arn("job-definition", f"{name}:{revision}"),
            "revision": revision,
            "status": "ACTIVE",
            "type": request.get("type", "container"),
            **{key: value for key, value in request.items() if key in _DEFINITION_FIELDS},
        }
        revisions.append(definition)
        return _pick(definition, "jobDefinitionName", "jobDefinitionArn", "revision")

    def deregister_job_definition(self, request: Json) -> Json:
        """DeregisterJobDefinition: it can no longer be submitted."""
        self.job_definition(request["jobDefinition"])["status"] = "INACTIVE"
        return {}

    def describe_job_definitions(self, request: Json) -> Json:
        """DescribeJobDefinitions."""
        found = [definition for revisions in self.job_definitions.values() for definition in revisions]
        if wanted := request.get("jobDefinitions"):
            names = {name_of(reference) for reference in wanted}
            found = [item for item in found if f"{item['jobDefinitionName']}:{item['revision']}" in names]
        if name := request.get("jobDefinitionName"):
            found = [item for item in found if item["jobDefinitionName"] == name]
        if status := request.get("status"):
            found = [item for item in found if item["status"] == status]
        return {"jobDefinitions": found}

    def job_definition(self, reference: str) -> Json:
        """Return a revision: the one that is named, else the newest active one.

        Raises:
            ClientError: There is none.
        """
        name, _, revision = name_of(reference).partition(":")
        for definition in reversed(self.job_definitions.get(name, [])):
            if str(definition["revision"]) == revision or (not revision and definition["status"] == "ACTIVE"):
                return definition
        # Batch's message: github.com/AlexsLemonade/refinebio/issues/2887
        raise ClientError(f"JobDefinition name {reference} does not exist or is not in ACTIVE status")

    # Tags

    def tags(self, resource_arn: str) -> dict[str, str]:
        """Return a resource's tags, to read or to change."""
        kind = resource_arn.rpartition(":")[2].partition("/")[0]
        if ":job-definition/" in resource_arn:
            owner = self.job_definition(resource_arn)
        elif kind == "compute-environment":
            owner = self.compute_environment(resource_arn)
        else:
            owner = self.job_queue(resource_arn)
        tags: dict[str, str] = owner.setdefault("tags", {})
        return tags


def _get(store: dict[str, Json], reference: str) -> Json:
    document = store.get(name_of(reference))
    if document is None:
        raise ClientError(f"Object does not exist: {reference}")
    return document


def _select(store: dict[str, Json], references: list[str] | None) -> list[Json]:
    if not references:
        return list(store.values())
    names = {name_of(reference) for reference in references}
    return [document for name, document in store.items() if name in names]


def _pick(document: Json, *keys: str) -> dict[str, Any]:
    return {key: document[key] for key in keys}
