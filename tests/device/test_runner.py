"""The robot's control loop goes on while versions change."""

from __future__ import annotations

import queue
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gaitway_device import DeviceError, NoPolicyError, PolicyFaultError, PolicyRunner, VersionError
from gaitway_device.store import Store
from gaitway_device.version import NETWORK, Reference
from tests.device.deliveries import OBSERVATIONS, actions_of, write_version

OBSERVATION = np.linspace(-1, 1, OBSERVATIONS, dtype=np.float32)


def use(root: Path, key: ec.EllipticCurvePrivateKey, number: int, gain: float, **how: object) -> Reference:
    """Bring a version into use that was verified and tried elsewhere."""
    store = Store(root)
    with store.locked():
        place = root / "incoming" / "made"
        version = write_version(place, key, number, gain=gain, **how)  # type: ignore[arg-type]
        place.rename(place.with_name(str(version)))
        store.admit(version)
        store.use(version)
    return version


def expected(gain: float, steps: int = 1, *, memory: bool = False) -> np.ndarray:
    given = np.tile(OBSERVATION, (steps, 1, 1))
    return actions_of(gain, given, memory=memory)[:, 0]


def test_without_a_policy_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoPolicyError, match="no policy was ever installed"):
        PolicyRunner(tmp_path)


def test_it_acts_as_the_version_in_use(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    version = use(tmp_path, key, 1, 0.5, described={"controlHz": 50})
    with PolicyRunner(tmp_path) as policy:
        np.testing.assert_allclose(policy.act(OBSERVATION), expected(0.5)[0], atol=1e-6)
        assert (policy.version, policy.control_hz) == (version, 50)


def test_a_memory_lasts_until_it_is_reset(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    use(tmp_path, key, 1, 0.5, memory=True)
    with PolicyRunner(tmp_path) as policy:
        for _ in range(2):
            acted = [policy.act(OBSERVATION) for _ in range(3)]
            np.testing.assert_allclose(acted, expected(0.5, 3, memory=True), atol=1e-6)
            policy.reset()


def test_it_changes_between_two_steps_and_misses_none(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    old = use(tmp_path, key, 1, 0.5)
    changed: queue.Queue[tuple[Reference, DeviceError | None]] = queue.Queue()
    with PolicyRunner(tmp_path, lambda *change: changed.put(change)) as policy:
        np.testing.assert_allclose(policy.act(OBSERVATION), expected(0.5)[0], atol=1e-6)
        new = use(tmp_path, key, 2, 0.9)
        assert changed.get(timeout=60) == (new, None)
        # The thread has loaded it; until the next step the old one is what acted last.
        assert policy.version == old
        np.testing.assert_allclose(policy.act(OBSERVATION), expected(0.9)[0], atol=1e-6)
        assert policy.version == new


def test_one_that_does_not_load_is_reported_and_the_old_one_goes_on(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    old = use(tmp_path, key, 1, 0.5)
    changed: queue.Queue[tuple[Reference, DeviceError | None]] = queue.Queue()
    with PolicyRunner(tmp_path, lambda *change: changed.put(change)) as policy:
        new = use(tmp_path, key, 2, 0.9, change=lambda directory: (directory / NETWORK).write_bytes(b"damaged"))
        version, problem = changed.get(timeout=60)
        assert version == new
        assert isinstance(problem, VersionError)
        np.testing.assert_allclose(policy.act(OBSERVATION), expected(0.5)[0], atol=1e-6)
        assert policy.version == old


@pytest.mark.parametrize("observation", [np.zeros(OBSERVATIONS + 1), np.zeros((2, OBSERVATIONS)), 0.0])
def test_an_observation_of_another_size_is_a_fault(
    observation: object, tmp_path: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    use(tmp_path, key, 1, 0.5)
    with PolicyRunner(tmp_path) as policy, pytest.raises(PolicyFaultError, match="observations of the shape"):
        policy.act(observation)  # type: ignore[arg-type]


def test_an_observation_that_is_nan_gives_no_action(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    use(tmp_path, key, 1, 0.5)
    with PolicyRunner(tmp_path) as policy, pytest.raises(PolicyFaultError, match="NaN or infinite"):
        policy.act(np.full(OBSERVATIONS, np.nan))
