"""Build the image for a tag, unless it exists already."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from lambdas.build_image.known_failures import cure_of
from lambdas.observability import logger

if TYPE_CHECKING:
    from types_boto3_codebuild import CodeBuildClient
    from types_boto3_codebuild.type_defs import BuildPhaseTypeDef, BuildTypeDef
    from types_boto3_ecr import ECRClient
    from types_boto3_logs import CloudWatchLogsClient

    from lambdas.build_image.event import ImageEvent

_FIRST_POLL_SECONDS = 1.0
_POLL_SECONDS = 15.0
"""A build that cannot start fails soon; one that runs takes long."""
_RESERVE_SECONDS = 60.0
"""The part of a call's time that is reserved for starting the next call."""
_LOG_LOOKS = 6
_LOG_PAUSE_SECONDS = 2.0
"""After the end of a build it takes seconds until its last lines are in its log."""
_LINES_READ = 200
_LINES_TOLD = 25
_MAX_LINE_CHARACTERS = 300
_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_OF_CODEBUILD = "[Container] "
"""Start of CodeBuild's own lines, which name the phase and the command."""


class BuildFailedError(Exception):
    """The image could not be built.

    Args:
        message: Why, and what to do.
        last_lines: The end of the build's log.
    """

    def __init__(self, message: str, last_lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.last_lines = last_lines


class ImageBuilder:
    """The build_image function.

    Args:
        codebuild: A CodeBuild client.
        ecr: An ECR client.
        logs: A CloudWatch Logs client.
        sleep: Waits a number of seconds.
    """

    def __init__(
        self,
        codebuild: CodeBuildClient,
        ecr: ECRClient,
        logs: CloudWatchLogsClient,
        sleep: Callable[[float], None],
    ) -> None:
        self._codebuild = codebuild
        self._ecr = ecr
        self._logs = logs
        self._sleep = sleep

    def begin(self, event: ImageEvent) -> str | None:
        """Start a build.

        Returns:
            Its id; None if the image exists.
        """
        properties = event.resource_properties
        if self.digest(event) is not None:
            logger.info("%s is there: not built again", properties.image_tag)
            return None
        build = self._codebuild.start_build(
            projectName=properties.project_name,
            environmentVariablesOverride=[
                {"name": "IMAGE_TAG", "value": properties.image_tag},
                {"name": "TARGET", "value": properties.target},
            ],
            # A call that is repeated starts no second build.
            idempotencyToken=event.request_id,
        )
        return build["build"]["id"]

    def wait(self, build_id: str, remaining_seconds: Callable[[], float]) -> bool:
        """Wait until a build has ended, or this call's time nearly has.

        Returns:
            Whether the build has succeeded.

        Raises:
            BuildFailedError: It has failed.
        """
        pause = _FIRST_POLL_SECONDS
        while True:
            build = self._codebuild.batch_get_builds(ids=[build_id])["builds"][0]
            if build["buildStatus"] == "SUCCEEDED":
                return True
            if build["buildStatus"] != "IN_PROGRESS":
                lines = self._last_lines(build)
                raise BuildFailedError(_why(build, lines), _told(lines))
            if remaining_seconds() < _RESERVE_SECONDS + _POLL_SECONDS:
                return False
            self._sleep(pause)
            pause = min(2 * pause, _POLL_SECONDS)

    def digest(self, event: ImageEvent) -> str | None:
        """Look up the digest of the image; None if it does not exist."""
        properties = event.resource_properties
        try:
            images = self._ecr.describe_images(
                repositoryName=properties.repository_name, imageIds=[{"imageTag": properties.image_tag}]
            )["imageDetails"]
        except self._ecr.exceptions.ImageNotFoundException:
            return None
        return images[0]["imageDigest"] if images else None

    def _last_lines(self, build: BuildTypeDef) -> list[str]:
        """Read the end of a build's log, once it contains the end of its last phase."""
        log = build.get("logs", {})
        group, stream = log.get("groupName"), log.get("streamName")
        lines: list[str] = []
        if group is None or stream is None:
            return lines
        ended = f"Phase complete: {(_failed_phases(build) or [{'phaseType': ''}])[-1]['phaseType']} "
        for look in range(_LOG_LOOKS):
            if look:
                self._sleep(_LOG_PAUSE_SECONDS)
            lines = self._read(group, stream)
            if any(ended in line for line in lines):
                break
        return lines

    def _read(self, group: str, stream: str) -> list[str]:
        """Read a log; if that is not possible, the build's failure is still reported."""
        try:
            events = self._logs.get_log_events(
                logGroupName=group, logStreamName=stream, limit=_LINES_READ, startFromHead=False
            )["events"]
        except (ClientError, BotoCoreError) as error:
            logger.warning("the log of the build was not read: %s", error)
            return []
        lines = (_ESCAPE.sub("", line).rstrip() for event in events for line in event.get("message", "").splitlines())
        return [line[:_MAX_LINE_CHARACTERS] for line in lines if line]


def _failed_phases(build: BuildTypeDef) -> list[BuildPhaseTypeDef]:
    return [
        phase
        for phase in build.get("phases", [])
        if phase.get("phaseStatus") not in ("SUCCEEDED", None) and phase.get("phaseType") != "COMPLETED"
    ]


def _told(lines: Sequence[str]) -> list[str]:
    """Choose the lines to show: CodeBuild's messages about its own phases come last, and would displace the cause."""
    return ([line for line in lines if not line.startswith(_OF_CODEBUILD)] or [*lines])[-_LINES_TOLD:]


def _why(build: BuildTypeDef, lines: Sequence[str]) -> str:
    """Return what to do about a failed build, in which phase it failed, with what, and where its log is."""
    failed = _failed_phases(build)
    # The phases after it fail for the same reason.
    said = [context.get("message", "") for context in (failed[0].get("contexts", []) if failed else [])]
    phase = failed[0]["phaseType"] if failed else build.get("currentPhase", "an unknown phase")
    log = build.get("logs", {})
    where = f"log group {log.get('groupName')}, stream {log.get('streamName')}, which stays after a rollback"
    if "deepLink" in log:
        where = f"{where} ({log['deepLink']})"
    cure = cure_of([*said, *lines]) or (
        "correct what its last lines name and deploy again, or set containerImageUri to your own image"
    )
    return (
        f"The build of the image ended as {build['buildStatus']} in {phase}{': ' if said else ''}{'; '.join(said)}. "
        f"What to do: {cure}. Its log: {where}{'; its last lines:' if lines else '.'}"
    )
