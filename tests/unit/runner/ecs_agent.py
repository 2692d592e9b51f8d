"""The ECS agent's metadata endpoint, as far as the runner asks it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.serving import answering

IMAGE = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/gaitway@sha256:4f5"


@contextmanager
def ecs_agent(answer: str) -> Iterator[str]:
    """Answer questions about a task, for as long as this is entered.

    Args:
        answer: What is said of the task.

    Returns:
        The value of ECS_CONTAINER_METADATA_URI_V4.
    """
    with answering({"/v4/id/task": answer}) as address:
        yield f"{address}/v4/id"


def task(pull_started_at: str, pull_stopped_at: str) -> str:
    """Describe a task as the agent does, with the container that holds its network beside the job's own."""
    return f"""{{
      "Cluster": "default", "Family": "job", "Limits": {{"CPU": 8}},
      "PullStartedAt": "{pull_started_at}", "PullStoppedAt": "{pull_stopped_at}",
      "Containers": [
        {{"Name": "~internal~ecs~pause", "Type": "CNI_PAUSE", "Image": "amazon/amazon-ecs-pause:0.1.0"}},
        {{"Name": "default", "Type": "NORMAL", "Image": "{IMAGE}", "ImageID": "sha256:abc", "Ports": []}}
      ]
    }}"""
