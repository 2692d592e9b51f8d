"""Service environments and scheduling policies: what service jobs need beside a queue."""

from __future__ import annotations

from gaitway.local.extensions.batch.errors import ClientError
from gaitway.local.extensions.batch.resources import Resources, arn, name_of
from gaitway.local.services import Json

SERVICE_JOBS = "SAGEMAKER_TRAINING"
_MOST_SHARES = 500
"""docs.aws.amazon.com/batch/latest/userguide/service_limits.html"""


class ServiceEnvironments:
    """Both, by name."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self.environments: dict[str, Json] = {}
        self.policies: dict[str, Json] = {}

    def to_state(self) -> Json:
        """Return everything, for `from_state` to restore."""
        return {"environments": self.environments, "policies": self.policies}

    def from_state(self, state: Json) -> None:
        """Restore what `to_state` returned."""
        self.environments, self.policies = state["environments"], state["policies"]

    def create(self, request: Json) -> Json:
        """CreateServiceEnvironment."""
        name = request["serviceEnvironmentName"]
        if name in self.environments:
            raise ClientError(f"Object already exists: {name}")
        if request["serviceEnvironmentType"] != SERVICE_JOBS:
            raise ClientError(f"serviceEnvironmentType must be {SERVICE_JOBS}")
        _check_limits(request["capacityLimits"])
        created = self.environments[name] = {
            **request,
            "serviceEnvironmentArn": arn("service-environment", name),
            "state": request.get("state", "ENABLED"),
            "status": "VALID",
        }
        return {key: created[key] for key in ("serviceEnvironmentName", "serviceEnvironmentArn")}

    def update(self, request: Json) -> Json:
        """UpdateServiceEnvironment: what the request does not name stays."""
        found = self.environment(request["serviceEnvironment"])
        if "capacityLimits" in request:
            _check_limits(request["capacityLimits"])
        found.update({key: value for key, value in request.items() if key in ("state", "capacityLimits")})
        return {key: found[key] for key in ("serviceEnvironmentName", "serviceEnvironmentArn")}

    def delete(self, request: Json) -> Json:
        """DeleteServiceEnvironment: it must be disabled, and in no queue."""
        name = name_of(request["serviceEnvironment"])
        found = self.environments.get(name)
        if found:
            if found["state"] != "DISABLED":
                raise ClientError(f"Cannot delete, resource is not in state DISABLED: {name}")
            if any(name in self.names_of(queue) for queue in self._resources.job_queues.values()):
                raise ClientError("Cannot delete, found existing JobQueue relationship")
            del self.environments[name]
        return {}

    def describe(self, request: Json) -> Json:
        """DescribeServiceEnvironments."""
        names = {name_of(reference) for reference in request.get("serviceEnvironments") or self.environments}
        return {"serviceEnvironments": [found for name, found in self.environments.items() if name in names]}

    def environment(self, reference: str) -> Json:
        """Return a service environment.

        Raises:
            ClientError: It does not exist.
        """
        found = self.environments.get(name_of(reference))
        if found is None:
            raise ClientError(f"Object does not exist: {reference}")
        return found

    def names_of(self, queue: Json) -> list[str]:
        """Return the names of a queue's service environments, in their order."""
        orders = sorted(queue.get("serviceEnvironmentOrder", []), key=lambda order: int(order["order"]))
        return [name_of(order["serviceEnvironment"]) for order in orders]

    def create_policy(self, request: Json) -> Json:
        """CreateSchedulingPolicy."""
        name = request["name"]
        if name in self.policies:
            raise ClientError(f"Object already exists: {name}")
        if len(request.get("fairsharePolicy", {}).get("shareDistribution", [])) > _MOST_SHARES:
            raise ClientError(f"a fair share policy has at most {_MOST_SHARES} shares")
        created = self.policies[name] = {**request, "arn": arn("scheduling-policy", name)}
        return {"name": name, "arn": created["arn"]}

    def update_policy(self, request: Json) -> Json:
        """UpdateSchedulingPolicy."""
        found = self.policies.get(name_of(request["arn"]))
        if found is None:
            raise ClientError(f"Object does not exist: {request['arn']}")
        found.update({key: value for key, value in request.items() if key != "arn"})
        return {}

    def delete_policy(self, request: Json) -> Json:
        """DeleteSchedulingPolicy: no queue may have it."""
        if any(queue.get("schedulingPolicyArn") == request["arn"] for queue in self._resources.job_queues.values()):
            raise ClientError("Cannot delete, found existing JobQueue relationship")
        self.policies.pop(name_of(request["arn"]), None)
        return {}

    def describe_policies(self, request: Json) -> Json:
        """DescribeSchedulingPolicies."""
        return {"schedulingPolicies": [found for found in self.policies.values() if found["arn"] in request["arns"]]}

    def check_queue(self, request: Json) -> None:
        """Check what a new queue for service jobs refers to.

        Raises:
            ClientError: It is missing, or does not go together.
        """
        orders = request.get("serviceEnvironmentOrder", [])
        if (request.get("jobQueueType") == SERVICE_JOBS) != bool(orders):
            raise ClientError(f"serviceEnvironmentOrder and the jobQueueType {SERVICE_JOBS} belong together")
        if orders and request.get("computeEnvironmentOrder"):
            raise ClientError("a job queue has compute environments or service environments, and not both")
        for order in orders:
            self.environment(order["serviceEnvironment"])
        policy = request.get("schedulingPolicyArn")
        if policy is not None and name_of(policy) not in self.policies:
            raise ClientError(f"Object does not exist: {policy}")


def _check_limits(limits: list[Json]) -> None:
    if len(limits) != 1 or limits[0].get("capacityUnit") != "NUM_INSTANCES" or int(limits[0]["maxCapacity"]) < 0:
        raise ClientError("capacityLimits must hold one limit, of the unit NUM_INSTANCES")
