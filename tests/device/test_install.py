"""Orders: what is signed and works is brought into use; whatever else happens, the robot keeps what it has."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gaitway_device import OrderError, StoreError
from gaitway_device.download import Downloads
from gaitway_device.install import Installer, Order, Outcome
from gaitway_device.store import Store
from gaitway_device.version import DESCRIPTION, MANIFEST, NETWORK, Reference, Trust, verify
from tests.device.deliveries import Server, new_key, public_pem, sign, write_version


class Robot:
    """A robot with a store, to which versions are delivered."""

    def __init__(self, root: Path, server: Server, key: ec.EllipticCurvePrivateKey) -> None:
        self.store, self.server, self.key = Store(root, keep=2), server, key
        self.trust = Trust([public_pem(key)])
        self.installer = Installer(self.store, self.trust, Downloads(attempts=2, pause=lambda seconds: None))
        self.serial = 0

    def publish(self, number: int, **how: object) -> Order:
        """Publish a version, and order it."""
        self.serial += 1
        directory = self.server.root / str(self.serial)
        version = write_version(directory, self.key, number, gain=0.4 + 0.1 * number, **how)  # type: ignore[arg-type]
        return self.server.order(self.serial, directory, version)

    def install(self, number: int) -> Reference:
        """Install a version."""
        order = self.publish(number)
        outcome = self.installer.carry_out(order)
        assert outcome.succeeded, outcome
        return order.version

    def roll_back(self, version: Reference) -> Outcome:
        self.serial += 1
        return self.installer.carry_out(Order(self.serial, "roll-back", version))

    def works(self) -> Reference:
        """Return the version in use, which is whole."""
        current = self.store.current()
        assert current is not None
        verify(self.store.root / "current", current, self.trust)
        return current


@pytest.fixture
def robot(tmp_path: Path, server: Server, key: ec.EllipticCurvePrivateKey) -> Robot:
    return Robot(tmp_path / "robot", server, key)


def test_a_version_is_installed_and_says_how_it_was_tried(robot: Robot) -> None:
    order = robot.publish(1)
    outcome = robot.installer.carry_out(order)
    assert (outcome.succeeded, outcome.current, outcome.error) == (True, str(order.version), None)
    assert outcome.trial is not None
    assert outcome.trial.max_abs_difference < 1e-5
    assert robot.works() == order.version
    assert Outcome.parse(outcome.document()) == outcome


def test_the_last_versions_stay_and_one_of_them_is_rolled_back_to_by_name_without_a_network(robot: Robot) -> None:
    first, second, third = (robot.install(number) for number in (1, 2, 3))
    assert robot.store.versions() == [third, second]
    asked = len(robot.server.asked)
    assert robot.roll_back(second).succeeded
    assert robot.works() == second
    assert robot.store.versions() == [second, third]
    assert len(robot.server.asked) == asked
    outcome = robot.roll_back(first)
    assert (outcome.succeeded, outcome.error, outcome.current) == (False, "OrderError", str(second))
    assert f"{first} is not on this robot, which has {second}, {third}" in (outcome.cause or "")
    assert robot.works() == second


def test_a_version_that_was_damaged_on_the_disk_is_not_rolled_back_to(robot: Robot) -> None:
    first, second = robot.install(1), robot.install(2)
    path = robot.store.directory(first) / NETWORK
    path.write_bytes(path.read_bytes()[:-1])
    outcome = robot.roll_back(first)
    assert (outcome.succeeded, outcome.error) == (False, "VersionError")
    assert robot.works() == second


def test_a_version_that_was_damaged_on_the_disk_is_installed_anew(robot: Robot) -> None:
    order = robot.publish(1)
    assert robot.installer.carry_out(order).succeeded
    robot.install(2)
    (robot.store.directory(order.version) / NETWORK).write_bytes(b"")
    assert robot.installer.carry_out(replace(order, serial=9)).succeeded
    assert robot.works() == order.version


def of_another_key(robot: Robot, directory: Path) -> None:
    sign(directory, new_key(), 2)


def damaged(robot: Robot, directory: Path) -> None:
    path = directory / NETWORK
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def shorter(robot: Robot, directory: Path) -> None:
    path = directory / NETWORK
    path.write_bytes(path.read_bytes()[:-1])


def absent(robot: Robot, directory: Path) -> None:
    (directory / DESCRIPTION).unlink()


def without_manifest(robot: Robot, directory: Path) -> None:
    (directory / MANIFEST).unlink()


def breaking(robot: Robot, directory: Path) -> None:
    robot.server.break_after = 0


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (of_another_key, "VersionError"),
        (damaged, "VersionError"),
        (shorter, "DownloadError"),
        (absent, "DownloadError"),
        (without_manifest, "DownloadError"),
        (breaking, "DownloadError"),
    ],
)
def test_what_is_delivered_wrongly_is_refused_and_the_next_order_works(fault: object, error: str, robot: Robot) -> None:
    assert callable(fault)
    before = robot.install(1)
    order = robot.publish(2)
    fault(robot, robot.server.root / str(order.serial))
    outcome = robot.installer.carry_out(order)
    assert (outcome.succeeded, outcome.error, outcome.current) == (False, error, str(before))
    assert robot.works() == before
    robot.server.break_after = None
    after = robot.install(3)
    assert robot.works() == after


def test_one_that_does_not_work_here_is_refused(robot: Robot) -> None:
    before = robot.install(1)
    outcome = robot.installer.carry_out(robot.publish(2, golden_gain=2.0))
    assert (outcome.succeeded, outcome.error) == (False, "TrialError")
    assert robot.works() == before
    assert robot.store.versions() == [before]


def test_one_that_was_fetched_in_part_and_damaged_is_fetched_once_more(robot: Robot) -> None:
    order = robot.publish(1)
    with robot.store.locked():
        place = robot.store.incoming(order.version, 0)
    whole = (robot.server.root / "1" / NETWORK).read_bytes()
    (place / NETWORK).write_bytes(bytes(len(whole) // 2))
    assert robot.installer.carry_out(order).succeeded
    assert robot.works() == order.version


def test_an_order_that_comes_again_gets_the_same_answer_and_changes_nothing(robot: Robot) -> None:
    failing, installing = robot.publish(1, golden_gain=2.0), robot.publish(2)
    for order in (failing, installing):
        first = robot.installer.carry_out(order)
        asked = len(robot.server.asked)
        assert robot.installer.carry_out(order) == first
        assert len(robot.server.asked) == asked


def test_an_order_that_failed_for_want_of_the_network_may_succeed_when_it_comes_again(robot: Robot) -> None:
    before = robot.install(1)
    order = robot.publish(2)
    robot.server.break_after = 0
    outcome = robot.installer.carry_out(order)
    assert (outcome.error, robot.works()) == ("DownloadError", before)
    robot.server.break_after = None
    assert robot.installer.carry_out(order).succeeded
    assert robot.works() == order.version


def test_an_outcome_with_a_field_more_is_read(robot: Robot) -> None:
    outcome = robot.installer.carry_out(robot.publish(1))
    document = json.loads(outcome.document()) | {"wave": 2}
    document["trial"] |= {"device": "arm64"}
    assert Outcome.parse(json.dumps(document)) == outcome


def test_what_somebody_else_has_put_among_the_versions_is_left_alone(robot: Robot) -> None:
    robot.install(1)
    (robot.store.root / "versions" / "lost+found").mkdir()
    robot.install(2)
    assert len(robot.store.versions()) == 2
    assert (robot.store.root / "versions" / "lost+found").is_dir()


def test_an_older_order_is_refused(robot: Robot) -> None:
    older, newer = robot.publish(1), robot.publish(2)
    assert robot.installer.carry_out(newer).succeeded
    outcome = robot.installer.carry_out(older)
    assert (outcome.succeeded, outcome.error) == (False, "OrderError")
    assert "order 1 is older than order 2" in (outcome.cause or "")
    assert robot.works() == newer.version
    # What it was asked last is remembered.
    assert robot.installer.carry_out(newer).succeeded


def test_an_order_that_names_another_version_than_it_delivers_is_refused(robot: Robot) -> None:
    before = robot.install(1)
    order = replace(robot.publish(2), version=Reference.parse("walker@9-0123456789ab"))
    outcome = robot.installer.carry_out(order)
    assert (outcome.succeeded, outcome.error) == (False, "VersionError")
    assert robot.works() == before


def test_two_agents_do_not_change_one_robot_at_once(robot: Robot) -> None:
    order = robot.publish(1)
    with robot.store.locked(), pytest.raises(StoreError, match="another process changes"):
        robot.installer.carry_out(order)
    assert robot.installer.carry_out(order).succeeded


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    usage = shutil.disk_usage
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage(path)._replace(free=1000))
        yield


def test_a_full_disk_refuses_a_version_before_it_is_fetched(robot: Robot, request: pytest.FixtureRequest) -> None:
    before = robot.install(1)
    request.getfixturevalue("full")
    order = robot.publish(2)
    outcome = robot.installer.carry_out(order)
    assert (outcome.succeeded, outcome.error, outcome.current) == (False, "StoreError", str(before))
    assert "make room on this robot" in (outcome.cause or "")
    assert robot.works() == before


def test_without_a_second_version_a_robot_could_not_be_rolled_back(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="could not be rolled back"):
        Store(tmp_path, keep=1)


def test_what_is_remembered_may_be_damaged_and_the_robot_still_works(robot: Robot) -> None:
    first = robot.install(1)
    (robot.store.root / "state.json").write_bytes(b"\0" * 100)
    assert robot.works() == first
    second = robot.install(2)
    assert robot.store.versions() == [second, first]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"serial": 1, "operation": "install", "policy": "walker", "version": "../../etc"},
        {"serial": 0, "operation": "install", "policy": "walker", "version": "1-0123456789ab"},
        {"serial": True, "operation": "install", "policy": "walker", "version": "1-0123456789ab"},
        {"serial": 1, "operation": "run", "policy": "walker", "version": "1-0123456789ab"},
        {
            "serial": 1,
            "operation": "install",
            "policy": "walker",
            "version": "1-0123456789ab",
            "files": {"a": "file:///a"},
        },
        {
            "serial": 1,
            "operation": "install",
            "policy": "walker",
            "version": "1-0123456789ab",
            "files": {"a": "http://[a"},
        },
        {
            "serial": 1,
            "operation": "install",
            "policy": "walker",
            "version": "1-0123456789ab",
            "files": {"a": "http://a"},
        },
        {"serial": 1, "operation": "install", "policy": "walker", "version": "1-0123456789ab", "files": 1},
        {"serial": 1, "operation": "install", "policy": 1, "version": "1-0123456789ab"},
    ],
)
def test_what_is_not_an_order_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(OrderError):
        Order.parse(document)


def test_an_order_is_read_and_what_is_not_known_in_it_is_ignored() -> None:
    files = {"policy.onnx": "https://bucket.s3.amazonaws.com/x?X-Amz-Signature=1"}
    document = {"serial": 4, "operation": "install", "policy": "walker", "version": "1-0123456789ab", "files": files}
    order = Order.parse({**document, "wave": 2})
    assert (order.serial, str(order.version), order.files) == (4, "walker@1-0123456789ab", files)
