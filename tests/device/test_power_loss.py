"""A robot loses power at any moment of an order; what was not synchronised is lost or torn. It always has what works.

The process that carries out the order is a fork, which ends at once before its n-th change of the file system, for
every n. What it had written and not synchronised is then damaged, as a disk may leave it. Not shown here: names in
directories that were not synchronised, which a disk may lose, too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gaitway_device import PolicyRunner, install
from gaitway_device.install import Order
from gaitway_device.trial import Trial
from gaitway_device.version import Reference
from tests.device.deliveries import OBSERVATIONS, Server
from tests.device.test_install import Robot

# From Python 3.12 on, a fork beside threads is warned of: the fork changes files and ends.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

CHANGES = {"os.mkdir", "os.rename", "os.symlink", "os.remove", "os.rmdir", "os.utime", "os.truncate"}
"""docs.python.org/3/library/audit_events.html"""
LOST, DONE = 3, 0


class Power:
    """Counts the changes of the file system below a root, and ends the process before the n-th."""

    def __init__(self, root: Path, n: int, torn: Path) -> None:
        self._root, self._left, self._torn = str(root), n, torn
        self._unsynchronised: set[str] = set()
        self._is_over = False

    def switch_on(self) -> None:
        sys.addaudithook(self._hear)
        fsync = os.fsync

        def synchronise(fd: Any) -> None:
            self._before()
            self._unsynchronised.discard(str(Path(f"/proc/self/fd/{fd}").readlink()))
            fsync(fd)

        os.fsync = synchronise

    def switch_off(self) -> None:
        """What follows is after the order."""
        self._is_over = True

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._is_over:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR) and str(path).startswith(self._root):
                self._before()
                self._unsynchronised.add(str(path))
        elif event in CHANGES and any(str(value).startswith(self._root) for value in arguments):
            self._before()
            if event == "os.rename":
                old, new = map(str, arguments[:2])
                # Also what is below it, if it is a directory.
                renamed = {path for path in self._unsynchronised if path == old or path.startswith(f"{old}/")}
                self._unsynchronised -= renamed
                self._unsynchronised |= {new + path.removeprefix(old) for path in renamed}

    def _before(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._is_over = True
            self._torn.write_text("\n".join(self._unsynchronised))
            os._exit(LOST)


def carry_out_until(robot: Robot, order: Order, n: int, torn: Path) -> bool:
    """Carry out an order in a fork that loses power before its n-th change; return whether it did."""
    torn.unlink(missing_ok=True)
    process = os.fork()
    if process == 0:
        code = 1
        try:
            power = Power(robot.store.root, n, torn)
            power.switch_on()
            outcome = robot.installer.carry_out(order)
            power.switch_off()
            code = DONE if outcome.succeeded else 1
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert code in (LOST, DONE)
    if code == LOST:
        for path in map(Path, filter(None, torn.read_text().split("\n"))):
            if path.is_file():
                content = path.read_bytes()
                # Some disks leave zeros where data should have been, others a shorter file.
                path.write_bytes(bytes(len(content)) if n % 2 else content[: len(content) // 2])
    return code == LOST


@pytest.fixture
def robot(tmp_path: Path, server: Server, key: ec.EllipticCurvePrivateKey, monkeypatch: pytest.MonkeyPatch) -> Robot:
    # The trial is a process of its own that writes nothing; test_install.py runs it.
    monkeypatch.setattr(install, "try_out", lambda directory, limits: Trial(0.0, 0.0, 1))
    return Robot(tmp_path / "robot", server, key)


def installs(robot: Robot, number: int) -> tuple[Order, Reference]:
    order = robot.publish(number)
    return order, order.version


def rolls_back(robot: Robot, number: int) -> tuple[Order, Reference]:
    _, before = robot.store.versions()
    robot.serial += 1
    return Order(robot.serial, "roll-back", before), before


@pytest.mark.parametrize("orders", [installs, rolls_back])
def test_it_works_before_and_after_and_the_order_comes_to_its_end(
    orders: Callable[[Robot, int], tuple[Order, Reference]], robot: Robot, tmp_path: Path
) -> None:
    robot.install(1)
    robot.install(2)
    n = number = 2
    is_lost = True
    while is_lost:
        n, number = n + 1, number + 1
        before = robot.works()
        order, after = orders(robot, number)
        is_lost = carry_out_until(robot, order, n - 2, tmp_path / "torn")
        assert robot.works() in (before, after)
        # Older orders stay refused.
        assert robot.store.state().serial in (order.serial - 1, order.serial)
        with PolicyRunner(robot.store.root) as policy:
            assert np.isfinite(policy.act(np.zeros(OBSERVATIONS))).all()
        # The power is back, and the order comes again.
        assert robot.installer.carry_out(order).succeeded
        assert robot.works() == after
        assert len(robot.store.versions()) == 2
        left = {path.name for path in robot.store.root.rglob("*") if path.name.endswith((".new", ".leaving"))}
        assert left == set()
    # Every change was once the last one: an order has at least this many.
    assert n - 2 > 10


def test_a_robot_that_has_no_policy_yet_has_none_or_a_whole_one(robot: Robot, tmp_path: Path) -> None:
    n, is_lost = 0, True
    while is_lost:
        n += 1
        each = Robot(tmp_path / f"robot-{n}", robot.server, robot.key)
        each.serial = robot.serial
        order = each.publish(n)
        robot.serial = each.serial
        is_lost = carry_out_until(each, order, n, tmp_path / "torn")
        if each.store.current() is not None:
            assert each.works() == order.version
        assert each.installer.carry_out(order).succeeded
        assert each.works() == order.version
