"""The ECS agent's metadata of the job's task: when its image was pulled, and which image it is.

docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html
"""

from __future__ import annotations

import http.client
import logging
import urllib.request

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_pascal

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 2.0
"""The agent is on the same machine."""


class _Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_pascal, frozen=True)


class _Container(_Answer):
    type: str = "NORMAL"
    """The agent's own container, which holds a task's network, has another type."""
    image: str | None = None
    """The image's name in the job definition."""
    image_id: str | None = Field(default=None, alias="ImageID")
    """The image's digest."""


class Task(_Answer):
    """What is known about the job's task; nothing without an agent."""

    pull_started_at: AwareDatetime | None = None
    pull_stopped_at: AwareDatetime | None = None
    containers: tuple[_Container, ...] = ()

    @property
    def image(self) -> str | None:
        """The job's image, with its digest."""
        for container in self.containers:
            if container.type == "NORMAL" and container.image is not None:
                names_digest = "@" in container.image or container.image_id is None
                return container.image if names_digest else f"{container.image} ({container.image_id})"
        return None


def read_task(address: str | None) -> Task:
    """Ask the agent. What it does not answer is unknown, which is not an error.

    Args:
        address: ECS_CONTAINER_METADATA_URI_V4; None outside ECS.
    """
    if address is None:
        return Task()
    try:
        # ECS sets the address, which is that of the machine's own agent.
        with urllib.request.urlopen(f"{address}/task", timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
            return Task.model_validate_json(answer.read())
    except (OSError, http.client.HTTPException, ValueError, ValidationError) as error:
        logger.warning("the ECS agent does not answer about this task: %s", error)
        return Task()
