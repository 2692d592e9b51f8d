"""Find out two minutes ahead that AWS takes a Spot instance back; nothing else notifies the job.

The instance metadata says so; AWS recommends reading it every five seconds:
docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html. The ECS agent sends no notice to
tasks, unless ECS_ENABLE_SPOT_INSTANCE_DRAINING is set: docs.aws.amazon.com/AmazonECS/latest/developerguide/
ecs-agent-config.html.
"""

from __future__ import annotations

import http
import http.client
import logging
import time
import urllib.error
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from gaitway.contracts.errors import GaitwayError, InterruptedRunError
from gaitway.contracts.history import Machine
from gaitway.runner.background import Background
from gaitway.runner.host.host import Notices
from gaitway.runner.stop import StopRequest

logger = logging.getLogger(__name__)

_POLL_SECONDS = 5.0
_TIMEOUT_SECONDS = 2.0
"""The service is on the same machine."""
_TOKEN_SECONDS = 21_600
_TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105 - the name of a header
SAVE_MARGIN_SECONDS = 45.0
"""Time before the interruption: to end the simulator and upload what it has saved to S3."""
_GONE_ALLOWANCE_SECONDS = 120.0
"""Time after the announced moment."""
_CLOSE_SECONDS = 1.0


class SpotNotice(BaseModel):
    """AWS's notice."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    action: str
    """`terminate`, `stop` or `hibernate`."""
    time: AwareDatetime
    """Approximately when."""


class SpotNotices:
    """Checks, while it is entered and the machine is a Spot instance, whether AWS takes it back.

    Args:
        machine: The attempt's machine; None if it is unknown; then it counts as On-Demand.
        endpoint: Address of the instance's metadata service.
    """

    def __init__(self, machine: Machine | None, endpoint: str) -> None:
        self._is_spot = machine is not None and machine.purchase == "spot"
        self._endpoint = endpoint.rstrip("/")
        self._token: str | None = None
        self._notice: SpotNotice | None = None
        self._is_failing = False
        self._background = Background("spot", self._look, _POLL_SECONDS, begins_at_once=True)

    @property
    def notice(self) -> SpotNotice | None:
        """AWS's notice; None if there is none."""
        return self._notice

    def __enter__(self) -> Self:
        if self._is_spot:
            self._background.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._background.close(_CLOSE_SECONDS)

    def wait_until_gone(self, stop: StopRequest) -> None:
        """If there is a notice, wait until the machine ends the job.

        Otherwise the next attempt would start on the same machine.
        """
        if self._notice is None:
            return
        left = (self._notice.time - datetime.now(UTC)).total_seconds() + _GONE_ALLOWANCE_SECONDS
        logger.info("waiting until the machine is gone")
        with suppress(GaitwayError):
            stop.sleep(max(0.0, left))

    def _look(self) -> None:
        """Read the metadata once. No answer counts as no notice, and is logged once."""
        try:
            self._notice = self._ask()
        except (OSError, http.client.HTTPException, ValueError, ValidationError) as error:
            if not self._is_failing:
                logger.warning("whether AWS takes the machine back is not known: its metadata does not say (%s)", error)
            self._is_failing = True
            return
        self._is_failing = False
        if self._notice is not None:
            logger.warning("AWS takes this Spot instance back: %s at %s", self._notice.action, self._notice.time)
            self._background.end()

    def _ask(self) -> SpotNotice | None:
        if self._token is None:
            self._token = self._send("PUT", "api/token", {f"{_TOKEN_HEADER}-ttl-seconds": str(_TOKEN_SECONDS)})
        try:
            return SpotNotice.model_validate_json(
                self._send("GET", "meta-data/spot/instance-action", {_TOKEN_HEADER: self._token})
            )
        except urllib.error.HTTPError as error:
            if error.code == http.HTTPStatus.NOT_FOUND:
                return None
            # A token lasts six hours.
            self._token = None
            raise

    def _send(self, method: str, path: str, headers: dict[str, str]) -> str:
        request = urllib.request.Request(f"{self._endpoint}/latest/{path}", method=method, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
            text: str = answer.read().decode()
            return text


class SpotWatch:
    """Watches, while a training runs, whether AWS takes its machine back, and requests a checkpoint in time.

    Args:
        notices: AWS's notices.
        stop_file: The file that requests a training to save a checkpoint and end; None if the simulator cannot.
    """

    def __init__(self, notices: Notices, stop_file: Path | None) -> None:
        self._notices = notices
        self._stop_file = stop_file
        self._has_asked = False

    @property
    def has_asked(self) -> bool:
        """Whether the training was requested to end."""
        return self._has_asked

    def check(self) -> None:
        """Return if there is no notice. Else request the training to save and end; raise when that takes too long.

        Raises:
            InterruptedRunError: AWS is about to take the machine back.
        """
        notice = self._notices.notice
        if notice is None or self._stop_file is None:
            return
        if not self._has_asked:
            logger.warning("the training is asked to save a checkpoint and end")
            self._stop_file.touch()
            self._has_asked = True
        if time.time() > notice.time.timestamp() - SAVE_MARGIN_SECONDS:
            raise self.interruption()

    def interruption(self) -> InterruptedRunError:
        """Describe why the attempt ends."""
        notice = self._notices.notice
        when = f" at {notice.time:%Y-%m-%d %H:%M:%S} UTC" if notice else ""
        return InterruptedRunError(
            f"AWS takes the Spot instance back{when}: the training was asked to save before. Start the run again to go "
            "on, or deploy without useSpot"
        )
