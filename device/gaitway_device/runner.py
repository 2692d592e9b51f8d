"""Runs the version in use in the robot's control loop."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from gaitway_device.errors import DeviceError, NoPolicyError, VersionError
from gaitway_device.network import Array, Network
from gaitway_device.store import CURRENT
from gaitway_device.version import Reference

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.2


class PolicyRunner:
    """The policy in use, which changes to a new version between two control steps.

    A thread loads the new version while the old one acts, so that no step waits for it. The new one begins with an
    empty memory. A version that cannot be loaded is reported, and the old one goes on.

    Args:
        root: The store's directory.
        on_change: Is called by the thread: with the new version, and None or why it was not taken.

    Raises:
        NoPolicyError: There is no version in use yet.
        VersionError: It cannot be loaded.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        on_change: Callable[[Reference, DeviceError | None], None] | None = None,
    ) -> None:
        self._root = Path(root)
        self._on_change = on_change
        target = self._target()
        if target is None:
            raise NoPolicyError(f"no policy was ever installed in {self._root}: order one for this robot")
        self._network, self._version = Network(self._root / target), _reference(target)
        # One place, which the thread fills and a step empties: neither waits for the other.
        self._next: deque[tuple[Network, Reference]] = deque(maxlen=1)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(target,), name="policy-versions", daemon=True)
        self._thread.start()

    @property
    def version(self) -> Reference:
        """The version that acted last."""
        return self._version

    @property
    def control_hz(self) -> float | None:
        """How often the policy is meant to act; None if that is not known."""
        return self._network.description.control_hz

    def act(self, observation: npt.ArrayLike) -> Array:
        """Act once. To be called by one thread.

        Args:
            observation: [observations], in the units and the order of the task.

        Returns:
            Actions: [actions].

        Raises:
            PolicyFaultError: The observation has another size, or an action is NaN or infinite: stop the robot.
        """
        with contextlib.suppress(IndexError):
            self._network, self._version = self._next.pop()
        acted: Array = self._network.step(np.asarray(observation, np.float32)[np.newaxis])[0]
        return acted

    def reset(self) -> None:
        """Forget what the policy remembers, as at the beginning of an episode."""
        self._network.reset()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._thread.join()

    def __enter__(self) -> PolicyRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _target(self) -> str | None:
        with contextlib.suppress(FileNotFoundError):
            return str((self._root / CURRENT).readlink())
        return None

    def _watch(self, taken: str) -> None:
        while not self._closed.wait(_POLL_SECONDS):
            target = self._target()
            if target is None or target == taken:
                continue
            taken = target
            version = _reference(target)
            problem: DeviceError | None = None
            try:
                network = Network(self._root / target)
                # The first step of a session allocates.
                network.step(np.zeros((1, network.description.num_observations), np.float32))
                network.reset()
                self._next.append((network, version))
            except DeviceError as error:
                problem = error
                logger.warning("%s is not taken, and %s goes on: %s", version, self._version, error)
            if self._on_change is not None:
                self._on_change(version, problem)


def _reference(target: str) -> Reference:
    try:
        return Reference.parse(Path(target).name)
    except VersionError as error:
        raise VersionError(
            f"the link {CURRENT} leads to {target}, which is no version: was it changed by hand?"
        ) from error
