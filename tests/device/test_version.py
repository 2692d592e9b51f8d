"""A version is what was signed, to the last byte, or nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gaitway_device.errors import VersionError
from gaitway_device.version import (
    DESCRIPTION,
    GOLDEN,
    MANIFEST,
    NETWORK,
    SIGNATURE,
    Description,
    Manifest,
    Reference,
    Trust,
    verify,
)
from tests.device.deliveries import new_key, public_pem, sign, write_version


@pytest.fixture
def trust(key: ec.EllipticCurvePrivateKey) -> Trust:
    return Trust([public_pem(key)])


def test_what_was_signed_is_verified(tmp_path: Path, key: ec.EllipticCurvePrivateKey, trust: Trust) -> None:
    version = write_version(tmp_path / "v", key, 3)
    assert verify(tmp_path / "v", version, trust).reference == version
    assert str(version).startswith("walker@3-")
    assert Reference.parse(str(version)) == version


def test_a_second_key_is_trusted_as_well(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    version = write_version(tmp_path / "v", key)
    assert verify(tmp_path / "v", version, Trust([public_pem(new_key()), public_pem(key)])).number == 1


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def link_away(directory: Path) -> None:
    elsewhere = directory.parent / "elsewhere.onnx"
    (directory / NETWORK).rename(elsewhere)
    (directory / NETWORK).symlink_to(elsewhere)


@pytest.mark.parametrize(
    "damage",
    [
        *(lambda directory, name=name: flip(directory / name) for name in (NETWORK, DESCRIPTION, GOLDEN)),
        lambda directory: flip(directory / MANIFEST),
        lambda directory: flip(directory / SIGNATURE),
        lambda directory: (directory / SIGNATURE).write_bytes(b""),
        lambda directory: (directory / GOLDEN).unlink(),
        lambda directory: (directory / MANIFEST).unlink(),
        lambda directory: (directory / "startup.py").write_text("import os"),
        link_away,
    ],
)
def test_what_is_not_what_was_signed_is_refused(
    damage: Callable[[Path], object], tmp_path: Path, key: ec.EllipticCurvePrivateKey, trust: Trust
) -> None:
    version = write_version(tmp_path / "v", key)
    damage(tmp_path / "v")
    with pytest.raises(VersionError):
        verify(tmp_path / "v", version, trust)


def test_what_another_has_signed_is_refused_before_it_is_looked_at(tmp_path: Path, trust: Trust) -> None:
    version = write_version(tmp_path / "v", new_key())
    (tmp_path / "v" / MANIFEST).write_bytes(b"{")
    with pytest.raises(VersionError, match="signed by none of the 1 keys"):
        verify(tmp_path / "v", version, trust)


def test_a_good_version_is_not_another_good_one(tmp_path: Path, key: ec.EllipticCurvePrivateKey, trust: Trust) -> None:
    older = write_version(tmp_path / "older", key, 1)
    newer = write_version(tmp_path / "newer", key, 2, gain=0.7)
    assert older != newer
    with pytest.raises(VersionError, match=f"{newer} was asked for, and {older} was delivered"):
        verify(tmp_path / "older", newer, trust)


def test_the_same_content_under_another_number_is_another_version(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    first = write_version(tmp_path / "v", key, 1)
    second = sign(tmp_path / "v", key, 2)
    assert first.version.partition("-")[2] == second.version.partition("-")[2]
    assert first != second


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../policy.onnx"),
        ("name", "/etc/passwd"),
        ("name", "a/b"),
        ("name", ".."),
        ("name", "manifest.json"),
        ("name", 7),
        ("name", "x" * 200),
        ("size", -1),
        ("size", True),
        ("size", 1e3),
        ("size", 1 << 60),
        ("sha256", "00"),
        ("sha256", None),
    ],
)
def test_a_signed_manifest_with_a_file_that_cannot_be_is_refused(
    field: str, value: object, tmp_path: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    write_version(tmp_path / "v", key)
    content = json.loads((tmp_path / "v" / MANIFEST).read_bytes())
    content["files"][-1][field] = value
    with pytest.raises(VersionError, match=r"manifest\.json"):
        Manifest.parse(json.dumps(content).encode())


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"files": 1}',
        b"[" * 100_000,
        b'{"policy": "walker", "number": 1, "files": []}',
    ],
)
def test_what_is_not_a_manifest_is_refused(document: bytes) -> None:
    with pytest.raises(VersionError, match=r"manifest\.json"):
        Manifest.parse(document)


@pytest.mark.parametrize(
    "name", ["walker", "walker@", "@1-000000000000", "walker@0-000000000000", "Walker@1-00", "../x@1-0"]
)
def test_what_is_not_a_name_of_a_version_is_refused(name: str) -> None:
    with pytest.raises(VersionError, match="is not the name of a version"):
        Reference.parse(name)


def test_a_field_that_is_not_known_is_ignored(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    write_version(tmp_path / "v", key, described={"lineage": {"run": "run-1"}, "controlHz": 50})
    assert Description.read(tmp_path / "v").control_hz == 50
    content = json.loads((tmp_path / "v" / MANIFEST).read_bytes()) | {"licence": "Apache-2.0"}
    assert Manifest.parse(json.dumps(content).encode()).number == 1


@pytest.mark.parametrize(
    "described",
    [
        {"inputs": []},
        {"inputs": [{"name": "obs", "shape": ["batch"]}]},
        {"inputs": [{"name": "obs", "shape": ["batch", "many"]}]},
        {"outputs": None},
        {"controlHz": 0},
        {"controlHz": "fast"},
        {"tolerance": -1},
    ],
)
def test_what_does_not_describe_a_policy_is_refused(
    described: dict[str, object], tmp_path: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    write_version(tmp_path / "v", key, described=described)
    with pytest.raises(VersionError, match=r"policy\.json"):
        Description.read(tmp_path / "v")


def test_only_keys_that_sign_policies_are_trusted(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    for pem in (b"none", other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)):
        with pytest.raises(VersionError, match="a trusted key"):
            Trust([pem])
    with pytest.raises(VersionError, match="trusts no key"):
        Trust.of(tmp_path)
    (tmp_path / "one.pem").write_bytes(public_pem(key))
    assert Trust.of(tmp_path)
