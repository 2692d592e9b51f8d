"""The agent as a robot runs it: a process that speaks MQTT to a broker, with a certificate of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gaitway.local.extensions.batch.container import free_port
from gaitway_device import ConfigError
from gaitway_device.agent import Config, _plain
from gaitway_device.store import Store
from gaitway_device.version import Reference
from tests.device.deliveries import public_pem, write_version
from tests.local.conformance.workflow import until

REPOSITORY = Path(__file__).parents[2]
THING, GROUP, BUCKET = "robot-1", "walkers", "policies"
SECONDS = 60
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "iot:Connect",
            "Resource": "arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}",
        },
        {
            "Effect": "Allow",
            "Action": ["iot:Publish", "iot:Receive"],
            "Resource": "arn:aws:iot:*:*:topic/$aws/things/${iot:Connection.Thing.ThingName}/jobs/*",
        },
        {
            "Effect": "Allow",
            "Action": "iot:Subscribe",
            "Resource": "arn:aws:iot:*:*:topicfilter/$aws/things/${iot:Connection.Thing.ThingName}/jobs/*",
        },
    ],
}


class Cloud:
    """AWS IoT and S3, and a fleet of one robot."""

    def __init__(self, endpoint_url: str, mqtt_port: int, directory: Path, key: ec.EllipticCurvePrivateKey) -> None:
        self._endpoint_url, self._mqtt_port, self._directory, self._key = endpoint_url, mqtt_port, directory, key
        self.iot, self.s3, self._iam = self._client("iot"), self._client("s3"), self._client("iam")
        self.serial = 0

    def _client(self, service: str) -> Any:
        session: Any = boto3.Session("test", "test", region_name="us-east-1")
        return session.client(service, endpoint_url=self._endpoint_url)

    @contextmanager
    def switched_on(self, ports: Sequence[int]) -> Iterator[None]:
        """Run it, until it is switched off or the context ends."""
        self._ports = ports
        with ExitStack() as self._running:
            self.switch_on()
            yield

    def switch_on(self) -> None:
        self._running.enter_context(listening(self._ports, self._directory / "state"))

    def switch_off(self) -> None:
        self._running.close()

    def prepare(self) -> None:
        """Make the bucket, the role that signs addresses, the robot, and its files."""
        self.s3.create_bucket(Bucket=BUCKET)
        trust = {"Effect": "Allow", "Principal": {"Service": "iot.amazonaws.com"}, "Action": "sts:AssumeRole"}
        may = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
        role = self._iam.create_role(RoleName="sign", AssumeRolePolicyDocument=_policy(trust))["Role"]["Arn"]
        self._iam.put_role_policy(RoleName="sign", PolicyName="read", PolicyDocument=_policy(may))
        self._signing = {"roleArn": role, "expiresInSec": 3600}
        self.iot.create_policy(policyName="robot", policyDocument=json.dumps(POLICY))
        self.thing_arn = self.iot.create_thing(thingName=THING)["thingArn"]
        made = self.iot.create_keys_and_certificate(setAsActive=True)
        self.certificate_id = made["certificateId"]
        self.iot.attach_policy(policyName="robot", target=made["certificateArn"])
        self.iot.attach_thing_principal(thingName=THING, principal=made["certificateArn"])
        robot = self._directory / "robot"
        (robot / "keys").mkdir(parents=True)
        (robot / "robot.crt").write_text(made["certificatePem"])
        (robot / "robot.key").write_text(made["keyPair"]["PrivateKey"])
        with urllib.request.urlopen(f"{self._endpoint_url}/_ministack/iot/ca.pem") as answer:  # noqa: S310 - the emulator
            (robot / "ca.pem").write_bytes(answer.read())
        (robot / "keys" / "gaitway.pem").write_bytes(public_pem(self._key))
        config = {
            "thing": THING,
            "endpoint": "localhost",
            "port": self._mqtt_port,
            "certificate": "robot.crt",
            "privateKey": "robot.key",
            "authority": "ca.pem",
            "trustedKeys": "keys",
            "root": "store",
        }
        self.config.write_text(json.dumps(config))

    @property
    def config(self) -> Path:
        return self._directory / "robot" / "device.json"

    def current(self) -> Reference | None:
        return Store(self._directory / "robot" / "store").current()

    def publish(
        self, number: int, key: ec.EllipticCurvePrivateKey | None = None, **how: Any
    ) -> tuple[Reference, dict[str, str]]:
        """Put a version into the bucket; return its name, and its addresses as a job's document has them."""
        directory = self._directory / "published" / f"{number}-{len(list(self._directory.glob('published/*')))}"
        version = write_version(directory, key or self._key, number, **how)
        files = {}
        for path in directory.iterdir():
            name = f"{version}/{path.name}"
            self.s3.upload_file(str(path), BUCKET, name)
            files[path.name] = f"${{aws:iot:s3-presigned-url:https://s3.us-east-1.amazonaws.com/{BUCKET}/{name}}}"
        return version, files

    def order(self, version: Reference, files: dict[str, str] | None = None, serial: int | None = None) -> str:
        """Make a job for the robot: to install a version, or to go back to it."""
        self.serial = self.serial + 1 if serial is None else serial
        document = {"serial": self.serial, "policy": version.policy, "version": version.version}
        document |= {"operation": "install", "files": files} if files else {"operation": "roll-back"}
        return self.job(document)

    def job(self, document: object) -> str:
        job_id = f"job-{os.urandom(8).hex()}"
        self.iot.create_job(
            jobId=job_id, targets=[self.thing_arn], document=json.dumps(document), presignedUrlConfig=self._signing
        )
        return job_id

    def execution(self, job_id: str) -> Any:
        return self.iot.describe_job_execution(jobId=job_id, thingName=THING)["execution"]

    def ended(self, job_id: str) -> tuple[str, dict[str, str]]:
        """Wait for what the robot reports."""
        until(lambda: self.execution(job_id)["status"] not in ("QUEUED", "IN_PROGRESS"), SECONDS)
        execution = self.execution(job_id)
        return execution["status"], execution["statusDetails"]["detailsMap"]


def _policy(statement: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@contextmanager
def started(*command: str, **how: Any) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, *command], text=True, **how) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def listening(ports: Sequence[int], directory: Path) -> Iterator[None]:
    """Run AWS IoT; it keeps what it knows until it is run there again."""
    command = ["-m", "tests.device.broker", *map(str, ports), str(directory)]
    with started(*command, cwd=REPOSITORY, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "listening\n"
        yield
        server.terminate()
        server.wait(SECONDS)


@pytest.fixture
def cloud(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> Iterator[Cloud]:
    ports = [free_port(), free_port()]
    cloud = Cloud(f"http://127.0.0.1:{ports[0]}", ports[1], tmp_path, key)
    with cloud.switched_on(ports):
        cloud.prepare()
        yield cloud


@contextmanager
def agent(cloud: Cloud) -> Iterator[subprocess.Popen[str]]:
    """Run the agent; its log comes with a failed test."""
    with started("-m", "gaitway_device.agent", str(cloud.config)) as process:
        yield process


@contextmanager
def read_agent(cloud: Cloud) -> Iterator[Iterator[str]]:
    """Run the agent, and read its log."""
    with started("-m", "gaitway_device.agent", str(cloud.config), stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        yield iter(process.stderr)


def test_orders_are_carried_out_one_after_the_other_and_reported(cloud: Cloud) -> None:
    first, files = cloud.publish(1)
    # It was made while the robot was away.
    job = cloud.order(first, files)
    with agent(cloud) as process:
        status, details = cloud.ended(job)
        assert (status, details["current"]) == ("SUCCEEDED", str(first))
        assert float(details["maxAbsDifference"]) < 1e-5
        second, files = cloud.publish(2, gain=0.8)
        assert cloud.ended(cloud.order(second, files))[0] == "SUCCEEDED"
        assert cloud.current() == second
        assert cloud.ended(cloud.order(first))[0] == "SUCCEEDED"
        assert cloud.current() == first

        worse, files = cloud.publish(3, golden_gain=2.0)
        status, details = cloud.ended(cloud.order(worse, files))
        assert (status, details["error"], details["current"]) == ("FAILED", "TrialError", str(first))
        assert "actions differ by" in details["cause"]

        foreign, files = cloud.publish(4, ec.generate_private_key(ec.SECP256R1()))
        status, details = cloud.ended(cloud.order(foreign, files))
        assert (status, details["error"]) == ("FAILED", "VersionError")

        status, details = cloud.ended(cloud.order(second, serial=cloud.serial - 1))
        assert (status, details["error"]) == ("REJECTED", "OrderError")
        cloud.serial += 1
        status, details = cloud.ended(cloud.job({"operation": "run", "command": "rm -rf /"}))
        assert (status, details["error"]) == ("REJECTED", "OrderError")
        assert cloud.current() == first
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0


@pytest.mark.slow
def test_an_order_that_a_kill_interrupted_is_carried_on(cloud: Cloud) -> None:
    version, files = cloud.publish(7)
    with agent(cloud) as process:
        job = cloud.order(version, files)
        until(lambda: cloud.execution(job)["status"] != "QUEUED", SECONDS)
        process.kill()
    with agent(cloud):
        assert cloud.ended(job)[0] == "SUCCEEDED"
        assert cloud.current() == version


@pytest.mark.slow
def test_a_robot_whose_certificate_is_revoked_receives_nothing_until_it_is_valid_again(cloud: Cloud) -> None:
    version, files = cloud.publish(1)
    job = cloud.order(version, files)
    cloud.iot.update_certificate(certificateId=cloud.certificate_id, newStatus="REVOKED")
    with read_agent(cloud) as log:
        assert any(f"localhost does not take {THING}" in line for line in log)
        assert (cloud.execution(job)["status"], cloud.current()) == ("QUEUED", None)
        cloud.iot.update_certificate(certificateId=cloud.certificate_id, newStatus="ACTIVE")
        assert any(f"connected as {THING}" in line for line in log)
        assert cloud.ended(job)[0] == "SUCCEEDED"
        assert cloud.current() == version


@pytest.mark.slow
def test_a_robot_whose_broker_was_away_catches_up(cloud: Cloud) -> None:
    version, files = cloud.publish(1)
    with read_agent(cloud) as log:
        assert any(f"connected as {THING}" in line for line in log)
        cloud.switch_off()
        assert any(f"localhost does not take {THING}" in line for line in log)
        cloud.switch_on()
        assert cloud.ended(cloud.order(version, files))[0] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not a configuration"),
        ("[]", "is not a configuration"),
        ("{}", "lacks thing"),
        ('{"thing": 1}', "thing is 1, and must be text"),
    ],
)
def test_a_configuration_that_is_none_is_refused_in_words(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "device.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=words):
        Config.read(path)


def test_an_agent_that_could_install_nothing_does_not_start(tmp_path: Path) -> None:
    names = ("thing", "endpoint", "certificate", "privateKey", "authority", "trustedKeys")
    (tmp_path / "device.json").write_text(json.dumps(dict.fromkeys(names, "nothing")))
    command = [sys.executable, "-m", "gaitway_device.agent", str(tmp_path / "device.json")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("gaitway-device: this robot trusts no key")
    assert "Traceback" not in ended.stderr


def test_a_detail_holds_no_control_characters_and_is_no_longer_than_it_may_be() -> None:
    assert _plain("a\nb\x00c" + "x" * 2000) == "a b c" + "x" * 1019
    assert _plain("") == "unknown"
