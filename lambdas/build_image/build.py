"""Build the image for a tag, unless it is there already."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lambdas.observability import logger

if TYPE_CHECKING:
    from types_boto3_codebuild import CodeBuildClient
    from types_boto3_codebuild.type_defs import BuildTypeDef
    from types_boto3_ecr import ECRClient

    from lambdas.build_image.event import ImageEvent

_POLL_SECONDS = 15.0
_RESERVE_SECONDS = 60.0
"""Of a call's time, kept to hand over to the next one."""


class BuildFailedError(Exception):
    """There is no image; the message says why, and what to do."""


class ImageBuilder:
    """The build_image function.

    Args:
        codebuild: A CodeBuild client.
        ecr: An ECR client.
        sleep: Waits a number of seconds.
    """

    def __init__(self, codebuild: CodeBuildClient, ecr: ECRClient, sleep: Callable[[float], None]) -> None:
        self._codebuild = codebuild
        self._ecr = ecr
        self._sleep = sleep

    def begin(self, event: ImageEvent) -> str | None:
        """Start a build.

        Returns:
            Its id; None where the image is there.
        """
        properties = event.resource_properties
        if self.digest(event) is not None:
            logger.info("%s is there: not built again", properties.image_tag)
            return None
        build = self._codebuild.start_build(
            projectName=properties.project_name,
            environmentVariablesOverride=[{"name": "IMAGE_TAG", "value": properties.image_tag}],
            # A call that is repeated starts no second build.
            idempotencyToken=event.request_id,
        )
        return build["build"]["id"]

    def wait(self, build_id: str, remaining_seconds: Callable[[], float]) -> bool:
        """Wait until a build has ended, or this call's time nearly has.

        Returns:
            Whether the build has ended well.

        Raises:
            BuildFailedError: It has failed.
        """
        while True:
            build = self._codebuild.batch_get_builds(ids=[build_id])["builds"][0]
            if build["buildStatus"] == "SUCCEEDED":
                return True
            if build["buildStatus"] != "IN_PROGRESS":
                raise BuildFailedError(_why(build))
            if remaining_seconds() < _RESERVE_SECONDS + _POLL_SECONDS:
                return False
            self._sleep(_POLL_SECONDS)

    def digest(self, event: ImageEvent) -> str | None:
        """Look up the digest of the image; None where it is not there."""
        properties = event.resource_properties
        try:
            images = self._ecr.describe_images(
                repositoryName=properties.repository_name, imageIds=[{"imageTag": properties.image_tag}]
            )["imageDetails"]
        except self._ecr.exceptions.ImageNotFoundException:
            return None
        return images[0]["imageDigest"] if images else None


def _why(build: BuildTypeDef) -> str:
    """Say in which phase a build failed, with what, and where its log is."""
    failed = [phase for phase in build.get("phases", []) if phase.get("phaseStatus") not in ("SUCCEEDED", None)]
    said = [context.get("message", "") for phase in failed for context in phase.get("contexts", [])]
    phase = failed[0]["phaseType"] if failed else build.get("currentPhase", "an unknown phase")
    logs = build.get("logs", {})
    where = logs.get("deepLink") or f"log group {logs.get('groupName')}, stream {logs.get('streamName')}"
    return (
        f"The build of the image ended as {build['buildStatus']} in {phase}{': ' if said else ''}{'; '.join(said)}. "
        f"Its log: {where}. Correct what it names and deploy again, or name an image of yours as containerImageUri."
    )
