"""A version of a policy: a directory, its manifest, and the signature of the manifest.

    policy.onnx     the network
    policy.json     its inputs and outputs, and how often it acts
    golden.npz      observations, and the actions that the training library computed from them
    manifest.json   every file with its size and SHA-256
    manifest.sig    signature of the manifest: ECDSA with SHA-256 on NIST P-256, as ASN.1 in DER, which is what
                    KMS returns (docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html)

Further files, such as a licence, may be among them. What the manifest does not name is not in the version.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gaitway_device.errors import VersionError

NETWORK, DESCRIPTION, GOLDEN = "policy.onnx", "policy.json", "golden.npz"
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
SCHEMA_VERSION = 1
MAX_MANIFEST_BYTES = 1 << 20
MAX_VERSION_BYTES = 4 << 30
"""No policy is as large: a manifest that names more is wrong."""
_DIGEST_CHARACTERS = 12
_POLICY = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_VERSION = re.compile(rf"[1-9][0-9]{{0,8}}-[0-9a-f]{{{_DIGEST_CHARACTERS}}}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Reference:
    """The name of a version: `walker@7-3f2a9c41d0be`."""

    policy: str
    version: str

    def __post_init__(self) -> None:
        if not _POLICY.fullmatch(self.policy) or not _VERSION.fullmatch(self.version):
            raise VersionError(
                f"{self.policy}@{self.version} is not the name of a version, as walker@7-3f2a9c41d0be: a policy's name "
                "in lower-case letters, digits and hyphens, a number, and the beginning of a digest"
            )

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a name.

        Raises:
            VersionError: It is none.
        """
        policy, _, version = text.partition("@")
        return cls(policy, version)

    def __str__(self) -> str:
        return f"{self.policy}@{self.version}"


@dataclass(frozen=True)
class File:
    """A file of a version."""

    name: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> File:
        """Describe a file.

        Raises:
            OSError: It cannot be read.
        """
        digest = hashlib.sha256()
        size = 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
        return cls(path.name, size, digest.hexdigest())


@dataclass(frozen=True)
class Manifest:
    """What is signed."""

    policy: str
    number: int
    files: tuple[File, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of all names and contents: of the lines that `sha256sum` prints for the files, sorted by name."""
        lines = "".join(f"{file.sha256}  {file.name}\n" for file in sorted(self.files, key=lambda file: file.name))
        return hashlib.sha256(lines.encode()).hexdigest()

    @property
    def reference(self) -> Reference:
        """The version's name: it follows from its number and its content."""
        return Reference(self.policy, f"{self.number}-{self.digest[:_DIGEST_CHARACTERS]}")

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def document(self) -> bytes:
        """Write it, for whoever signs it."""
        files = [{"name": file.name, "size": file.size, "sha256": file.sha256} for file in self.files]
        content = {"schemaVersion": SCHEMA_VERSION, "policy": self.policy, "number": self.number, "files": files}
        return json.dumps(content, indent=2).encode()

    @classmethod
    def parse(cls, document: bytes) -> Manifest:
        """Read it; fields that are not known are ignored.

        Raises:
            VersionError: It is not a manifest.
        """
        try:
            content = json.loads(document)
            files = tuple(File(file["name"], file["size"], file["sha256"]) for file in content["files"])
            manifest = cls(content["policy"], content["number"], files)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise VersionError(f"{MANIFEST} is not a manifest: {error!r}") from error
        manifest._check()
        return manifest

    def _check(self) -> None:
        for file in self.files:
            # A name is not a path: nothing is written outside the version's own directory.
            if not isinstance(file.name, str) or not _FILE.fullmatch(file.name) or file.name in (MANIFEST, SIGNATURE):
                raise VersionError(f"{MANIFEST} names the file {file.name!r}, which a version cannot have")
            if type(file.size) is not int or file.size < 0:
                raise VersionError(f"{MANIFEST} gives {file.name} the size {file.size!r}")
            if not isinstance(file.sha256, str) or not _SHA256.fullmatch(file.sha256):
                raise VersionError(f"{MANIFEST} gives {file.name} the digest {file.sha256!r}")
        names = [file.name for file in self.files]
        if len(set(names)) != len(names):
            raise VersionError(f"{MANIFEST} names a file twice")
        if missing := {NETWORK, DESCRIPTION, GOLDEN} - set(names):
            raise VersionError(f"{MANIFEST} lacks {', '.join(sorted(missing))}")
        if self.size > MAX_VERSION_BYTES:
            raise VersionError(f"{MANIFEST} names {self.size} bytes, and no policy has more than {MAX_VERSION_BYTES}")
        if not isinstance(self.policy, str) or type(self.number) is not int:
            raise VersionError(f"{MANIFEST} has the policy {self.policy!r} and the number {self.number!r}")
        assert self.reference


class Trust:
    """The public keys that this robot trusts. Several, so that a key can be replaced while robots are away."""

    def __init__(self, pems: Iterable[bytes]) -> None:
        """Read the keys.

        Args:
            pems: Each a public key in PEM, as `aws kms get-public-key` gives it after a conversion.

        Raises:
            VersionError: One is not a public key on P-256, or there is none.
        """
        self._keys: list[ec.EllipticCurvePublicKey] = []
        for pem in pems:
            try:
                key = load_pem_public_key(pem)
            except ValueError as error:
                raise VersionError(f"a trusted key is not a public key in PEM: {error}") from error
            if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
                raise VersionError("a trusted key is not on NIST P-256, which signs policies")
            self._keys.append(key)
        if not self._keys:
            raise VersionError("this robot trusts no key, so that nothing can be installed: provision it again")

    @classmethod
    def of(cls, directory: Path) -> Trust:
        """Read the keys of a directory: every `*.pem` in it."""
        return cls(path.read_bytes() for path in sorted(directory.glob("*.pem")))

    def manifest(self, document: bytes, signature: bytes) -> Manifest:
        """Read a manifest that one of the keys has signed. Nothing in it is looked at before.

        Raises:
            VersionError: No key has, or it is not a manifest.
        """
        if len(document) > MAX_MANIFEST_BYTES:
            raise VersionError(f"{MANIFEST} has {len(document)} bytes, and may have {MAX_MANIFEST_BYTES}")
        if not any(_has_signed(key, document, signature) for key in self._keys):
            raise VersionError(f"{MANIFEST} was signed by none of the {len(self._keys)} keys that this robot trusts")
        return Manifest.parse(document)


def _has_signed(key: ec.EllipticCurvePublicKey, document: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, document, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def verify(directory: Path, expected: Reference, trust: Trust) -> Manifest:
    """Verify a version that is on the disk: signature, name, and every byte of every file.

    Args:
        directory: Of the version.
        expected: The version that it has to be: another one with a good signature is refused.
        trust: The keys.

    Raises:
        VersionError: It is not whole, not signed, or another version.
    """
    try:
        document, signature = (directory / MANIFEST).read_bytes(), (directory / SIGNATURE).read_bytes()
        manifest = trust.manifest(document, signature)
        if manifest.reference != expected:
            raise VersionError(f"{expected} was asked for, and {manifest.reference} was delivered")
        found = {path.name for path in directory.iterdir()} - {MANIFEST, SIGNATURE}
        if found != {file.name for file in manifest.files}:
            raise VersionError(f"{expected} has other files than its manifest: {', '.join(sorted(found))}")
        for file in manifest.files:
            path = directory / file.name
            if path.is_symlink() or File.of(path) != file:
                raise VersionError(f"{file.name} of {expected} is not what was signed")
    except OSError as error:
        raise VersionError(f"{expected} cannot be read: {error}") from error
    return manifest


@dataclass(frozen=True)
class Tensor:
    """An input or an output of the network."""

    name: str
    shape: tuple[int | str, ...]
    """A dimension that is given by a name may have any size."""


@dataclass(frozen=True)
class Description:
    """`policy.json`: what a robot has to know of the network.

    The first input is the observation, [batch, observations]; further ones are the states of a policy with a memory,
    [layers, batch, size], which the outputs after the actions, [batch, actions], replace.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    control_hz: float | None = None
    """How often it acts; None if that is not known."""
    tolerance: float = 1e-3
    """How far an action may be from the one that the training library computed."""

    @property
    def num_observations(self) -> int:
        """Of one robot."""
        return int(self.inputs[0].shape[-1])

    @classmethod
    def read(cls, directory: Path) -> Description:
        """Read it; fields that are not known are ignored.

        Raises:
            VersionError: It does not describe a policy.
        """
        try:
            content = json.loads((directory / DESCRIPTION).read_bytes())
            described = cls(
                _tensors(content["inputs"]),
                _tensors(content["outputs"]),
                _positive(content, "controlHz"),
                _positive(content, "tolerance") or cls.tolerance,
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise VersionError(f"{DESCRIPTION} does not describe a policy: {error!r}") from error
        described._check()
        return described

    def _check(self) -> None:
        if len(self.inputs) != len(self.outputs) or not self.inputs:
            raise VersionError(f"{DESCRIPTION} has {len(self.inputs)} inputs and {len(self.outputs)} outputs")
        for tensor, rank in ((self.inputs[0], 2), (self.outputs[0], 2), *((state, 3) for state in self.inputs[1:])):
            if len(tensor.shape) != rank or type(tensor.shape[-1]) is not int or tensor.shape[-1] < 1:
                raise VersionError(f"{DESCRIPTION} gives {tensor.name} the shape {tensor.shape}")
        for state in self.inputs[1:]:
            if type(state.shape[0]) is not int or state.shape[0] < 1:
                raise VersionError(f"{DESCRIPTION} gives {state.name} the shape {state.shape}")


def _tensors(content: Sequence[Mapping[str, Any]]) -> tuple[Tensor, ...]:
    return tuple(Tensor(str(tensor["name"]), tuple(tensor["shape"])) for tensor in content)


def _positive(content: Mapping[str, Any], name: str) -> float | None:
    value = content.get(name)
    if value is None:
        return None
    number = float(value)
    if not 0 < number < float("inf"):
        raise ValueError(f"{name} is {value}")
    return number
