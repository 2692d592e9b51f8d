"""What AWS Batch has for training jobs, as one part of its service: environments, policies and service jobs."""

from __future__ import annotations

from collections.abc import Callable

from gaitway.local.extensions.batch.resources import Resources
from gaitway.local.extensions.sagemaker.service_environments import ServiceEnvironments
from gaitway.local.extensions.sagemaker.service_jobs import ServiceJobs
from gaitway.local.extensions.sagemaker.training_jobs import TrainingJobs
from gaitway.local.services import Json


class ServiceQueue:
    """A part of the embedded AWS Batch."""

    name = "service_queue"

    def __init__(self, resources: Resources, training: TrainingJobs) -> None:
        self.environments = ServiceEnvironments(resources)
        self.jobs = ServiceJobs(resources, self.environments, training)
        self.training = training
        self._resources = resources

    @property
    def operations(self) -> dict[str, Callable[[Json], Json]]:
        """What it answers, by the end of the path."""
        environments, jobs = self.environments, self.jobs
        return {
            "createserviceenvironment": environments.create,
            "updateserviceenvironment": environments.update,
            "deleteserviceenvironment": environments.delete,
            "describeserviceenvironments": environments.describe,
            "createschedulingpolicy": environments.create_policy,
            "updateschedulingpolicy": environments.update_policy,
            "deleteschedulingpolicy": environments.delete_policy,
            "describeschedulingpolicies": environments.describe_policies,
            "submitservicejob": jobs.submit,
            "describeservicejob": jobs.describe,
            "listservicejobs": jobs.list_,
            "terminateservicejob": jobs.terminate,
            "updateservicejob": jobs.update,
        }

    def check_queue(self, request: Json) -> None:
        """Check what a new queue refers to.

        Raises:
            ClientError: It is missing, or does not go together.
        """
        self.environments.check_queue(request)

    def tags(self, resource_arn: str) -> dict[str, str] | None:
        """Return the tags of a service job; None for any other resource."""
        return self.jobs.tags(resource_arn) if ":service-job/" in resource_arn else None

    def dispatch(self) -> None:
        """Start what waits, as far as there is room."""
        self.jobs.dispatch()

    def to_state(self) -> Json:
        """Return everything, for `from_state` to restore."""
        return {"environments": self.environments.to_state(), "jobs": self.jobs.to_state()}

    def from_state(self, state: Json) -> None:
        """Restore what `to_state` returned."""
        self.environments.from_state(state["environments"])
        self.jobs.from_state(state["jobs"])

    def resume(self) -> None:
        """Resume after a restart."""
        self.training.resume()
        self.jobs.dispatch()

    def close(self) -> None:
        """Start nothing more, and kill what runs."""
        self.jobs.close()
        self.training.close()

    def reset(self) -> None:
        """Forget everything."""
        self.jobs.reset()
        self.environments.from_state(ServiceEnvironments(self._resources).to_state())
