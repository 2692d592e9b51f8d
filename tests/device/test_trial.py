"""A version is tried on the robot's own onnxruntime, in a process with limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gaitway_device.errors import TrialError
from gaitway_device.trial import Limits, try_out
from gaitway_device.version import GOLDEN, NETWORK
from tests.device.deliveries import write_version


@pytest.mark.parametrize("memory", [False, True])
def test_one_that_acts_as_where_it_was_trained_passes(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey, memory: bool
) -> None:
    write_version(tmp_path / "v", key, memory=memory, described={"controlHz": 1})
    trial = try_out(tmp_path / "v", Limits())
    assert trial.max_abs_difference < 1e-5
    assert trial.steps == 5
    assert 0 < trial.step_p99_seconds < 0.5


def test_one_that_acts_otherwise_fails(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    write_version(tmp_path / "v", key, golden_gain=0.51)
    with pytest.raises(TrialError, match="actions differ by"):
        try_out(tmp_path / "v", Limits())


def test_one_that_is_slower_than_the_robot_is_controlled_fails(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    write_version(tmp_path / "v", key, described={"controlHz": 1e9})
    with pytest.raises(TrialError, match="of a control period of"):
        try_out(tmp_path / "v", Limits())


def test_one_with_another_memory_than_described_fails(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    write_version(tmp_path / "v", key, memory=True)
    write_version(tmp_path / "w", key)
    (tmp_path / "v" / NETWORK).write_bytes((tmp_path / "w" / NETWORK).read_bytes())
    with pytest.raises(TrialError, match=r"has the inputs obs, and not obs, h_in"):
        try_out(tmp_path / "v", Limits())


def not_a_network(directory: Path) -> None:
    (directory / NETWORK).write_bytes(b"no network")


def without_observations(directory: Path) -> None:
    np.savez(directory / GOLDEN, observations=np.zeros((0, 1, 4)), actions=np.zeros((0, 1, 2)))


def with_nan(directory: Path) -> None:
    np.savez(directory / GOLDEN, observations=np.full((1, 1, 4), np.nan), actions=np.zeros((1, 1, 2)))


def with_code(directory: Path) -> None:
    np.savez(directory / GOLDEN, observations=np.array([Path("x")], dtype=object), actions=np.zeros((1, 1, 2)))


def with_one_action_more(directory: Path) -> None:
    np.savez(directory / GOLDEN, observations=np.zeros((1, 1, 4)), actions=np.zeros((1, 1, 3)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (not_a_network, "does not load policy.onnx"),
        (without_observations, "has no observations"),
        (with_nan, "NaN or infinite"),
        (with_code, "cannot be read"),
        (with_one_action_more, "has 3 actions, and the network 2"),
    ],
)
def test_what_cannot_be_played_fails_in_words(
    change: object, words: str, tmp_path: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    assert callable(change)
    write_version(tmp_path / "v", key, change=change)
    with pytest.raises(TrialError, match=words):
        try_out(tmp_path / "v", Limits())


def test_one_that_takes_too_much_memory_takes_no_more(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    write_version(tmp_path / "v", key)
    with pytest.raises(TrialError, match=r"the trial ended with|memory|does not load"):
        try_out(tmp_path / "v", Limits(memory_bytes=64 << 20))
