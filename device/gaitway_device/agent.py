"""The robot's agent: it takes orders from AWS IoT Jobs, carries them out one after the other, and reports.

    gaitway-device /etc/gaitway/device.json

It asks for what is pending whenever it connects or is notified, so that a robot that was away catches up; what it was
carrying out when it lost power is still pending then.
docs.aws.amazon.com/iot/latest/developerguide/jobs-workflow-device-online.html
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import threading
from collections.abc import Mapping
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from awscrt import mqtt5
from awscrt.mqtt_request_response import ClientOptions
from awsiot import ServiceStreamOptions, V2ServiceException, iotjobs, mqtt5_client_builder

from gaitway_device.errors import ConfigError, DeviceError, OrderError, StoreError
from gaitway_device.install import Installer, Order, Outcome
from gaitway_device.store import Store
from gaitway_device.version import Trust

logger = logging.getLogger(__name__)

_ANSWER_SECONDS = 30
_PAUSE_SECONDS = 30.0
"""After the broker gave no answer, or the disk refused what has to be remembered."""
_MAX_DETAIL_CHARACTERS = 1024
"""docs.aws.amazon.com/iot/latest/apireference/API_iot-jobs-data_UpdateJobExecution.html, `statusDetails`"""


@dataclass(frozen=True)
class Config:
    """The agent's configuration: a JSON file with these keys in camelCase.

    Attributes:
        thing: The robot's name in AWS IoT, which is also its client id: two agents with one name would put each other
            off line.
        endpoint: `aws iot describe-endpoint --endpoint-type iot:Data-ATS`.
        certificate: The robot's certificate, in PEM.
        private_key: Its private key, in PEM.
        authority: The authority's certificate that the endpoint's is checked with, in PEM.
        trusted_keys: Directory with the public keys that sign policies: every `*.pem` in it.
        root: Directory of the store.
        port: Of the endpoint.
        keep: How many versions stay on the disk.
    """

    thing: str
    endpoint: str
    certificate: Path
    private_key: Path
    authority: Path
    trusted_keys: Path
    root: Path = Path("/var/lib/gaitway")
    port: int = 8883
    keep: int = 3

    @classmethod
    def read(cls, path: Path) -> Config:
        """Read the file; paths in it may be relative to it.

        Raises:
            ConfigError: It cannot be read, or something is missing or wrong.
        """
        try:
            content = json.loads(path.read_bytes())
            here = path.parent
            return cls(
                thing=_text(content, "thing"),
                endpoint=_text(content, "endpoint"),
                certificate=here / _text(content, "certificate"),
                private_key=here / _text(content, "privateKey"),
                authority=here / _text(content, "authority"),
                trusted_keys=here / _text(content, "trustedKeys"),
                root=here / content.get("root", cls.root),
                port=int(content.get("port", cls.port)),
                keep=int(content.get("keep", cls.keep)),
            )
        except KeyError as error:
            raise ConfigError(f"{path} lacks {error.args[0]}: docs/device.md has an example") from None
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ConfigError(f"{path} is not a configuration of this agent: {error}") from error


def _text(content: Mapping[str, Any], name: str) -> str:
    value = content[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is {value!r}, and must be text")
    return value


class Agent:
    """The agent of one robot.

    Args:
        config: Its configuration.

    Raises:
        DeviceError: It could never install anything: no key, no certificate, a store that keeps too little.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._installer = Installer(Store(config.root, config.keep), Trust.of(config.trusted_keys))
        self._wake = threading.Event()
        self._stopped = threading.Event()
        for path in (config.certificate, config.private_key, config.authority):
            if not path.is_file():
                raise ConfigError(f"{path} is not there: provision this robot again")

    def stop(self) -> None:
        """End after the order that is being carried out."""
        self._stopped.set()
        self._wake.set()

    def run(self) -> None:
        """Carry out orders until `stop`."""
        config = self._config
        client = mqtt5_client_builder.mtls_from_path(
            str(config.certificate),
            str(config.private_key),
            endpoint=config.endpoint,
            port=config.port,
            ca_filepath=str(config.authority),
            client_id=config.thing,
            on_lifecycle_connection_success=self._connected,
            on_lifecycle_connection_failure=self._not_connected,
        )
        client.start()
        try:
            options = ClientOptions(
                max_request_response_subscriptions=8,
                max_streaming_subscriptions=2,
                operation_timeout_in_seconds=_ANSWER_SECONDS,
            )
            jobs = iotjobs.IotJobsClientV2(client, options)
            asked = iotjobs.NextJobExecutionChangedSubscriptionRequest(thing_name=config.thing)
            hears = ServiceStreamOptions(incoming_event_listener=lambda event: self._wake.set())
            stream = jobs.create_next_job_execution_changed_stream(asked, hears)
            stream.open()
            while not self._stopped.is_set():
                self._wake.wait()
                self._wake.clear()
                self._carry_out_pending(jobs)
        finally:
            client.stop()

    def _connected(self, data: mqtt5.LifecycleConnectSuccessData) -> None:
        logger.info("connected as %s", self._config.thing)
        # What came while it was away is pending.
        self._wake.set()

    def _not_connected(self, data: mqtt5.LifecycleConnectFailureData) -> None:
        # The client tries again by itself, less and less often.
        logger.warning("%s does not take %s: %s", self._config.endpoint, self._config.thing, data.exception)

    def _carry_out_pending(self, jobs: iotjobs.IotJobsClientV2) -> None:
        while not self._stopped.is_set():
            try:
                if not self._carry_out_next(jobs):
                    return
            except (V2ServiceException, futures.TimeoutError) as error:
                # Nobody need notify again: it asks by itself.
                logger.warning("AWS IoT gave no answer: %r", error)
                self._wake_later()
                return
            except StoreError as error:
                # How the order ends could not be remembered: it stays pending.
                logger.warning("the order cannot be carried out yet: %s", error)
                self._wake_later()
                return

    def _wake_later(self) -> None:
        timer = threading.Timer(_PAUSE_SECONDS, self._wake.set)
        timer.daemon = True
        timer.start()

    def _carry_out_next(self, jobs: iotjobs.IotJobsClientV2) -> bool:
        """Carry out the oldest pending order; return whether there was one."""
        request = iotjobs.StartNextPendingJobExecutionRequest(thing_name=self._config.thing)
        execution = _answer(jobs.start_next_pending_job_execution(request)).execution
        if execution is None or execution.job_id is None:
            return False
        # Its document holds addresses that let whoever knows them read the files: it is not logged.
        logger.info("%s is begun", execution.job_id)
        try:
            order = Order.parse(execution.job_document or {})
        except OrderError as error:
            status, details = iotjobs.JobStatus.REJECTED, {"error": "OrderError", "cause": str(error)}
        else:
            outcome = self._installer.carry_out(order)
            status, details = _status(outcome), _details(outcome)
        logger.info("%s: %s %s", execution.job_id, status, details)
        update = iotjobs.UpdateJobExecutionRequest(
            thing_name=self._config.thing,
            job_id=execution.job_id,
            execution_number=execution.execution_number,
            status=status,
            status_details={name: _plain(value) for name, value in details.items()},
        )
        _answer(jobs.update_job_execution(update))
        return True


def _answer(future: futures.Future[Any]) -> Any:  # noqa: ANN401 - the answer's type is that of the question
    return future.result(2 * _ANSWER_SECONDS)


def _status(outcome: Outcome) -> str:
    """An order that must not be carried out is rejected; one that should have been, and could not be, has failed."""
    if outcome.succeeded:
        return str(iotjobs.JobStatus.SUCCEEDED)
    return str(iotjobs.JobStatus.REJECTED if outcome.error == OrderError.__name__ else iotjobs.JobStatus.FAILED)


def _details(outcome: Outcome) -> dict[str, str]:
    details = {"current": outcome.current or "none"}
    if outcome.error is not None:
        details |= {"error": outcome.error, "cause": outcome.cause or ""}
    if outcome.trial is not None:
        details |= {
            "maxAbsDifference": f"{outcome.trial.max_abs_difference:.3g}",
            "stepP99Seconds": f"{outcome.trial.step_p99_seconds:.3g}",
        }
    return details


def _plain(text: str) -> str:
    """AWS IoT takes no control characters in a detail, and no empty one, which MiniStack does."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:_MAX_DETAIL_CHARACTERS] or "unknown"


def main() -> None:
    """Run the agent until it is told to end."""
    parser = argparse.ArgumentParser(prog="gaitway-device", description="Installs policies that this robot is ordered.")
    parser.add_argument("config", type=Path, help="the configuration: docs/device.md has an example")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        agent = Agent(Config.read(arguments.config))
    except DeviceError as error:
        sys.exit(f"gaitway-device: {error}")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    agent.run()


if __name__ == "__main__":
    main()
