"""Versions of small policies that are real: networks for onnxruntime, signed, and fetched from a server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from onnx import TensorProto, helper

from gaitway_device.install import Order
from gaitway_device.version import DESCRIPTION, GOLDEN, MANIFEST, NETWORK, SIGNATURE, File, Manifest, Reference

OBSERVATIONS, ACTIONS, STATE = 4, 2, 3
_OPSET = 18
_IR_VERSION = 10


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _model(gain: float, *, memory: bool) -> onnx.ModelProto:
    """Actions are tanh(W o + U h); with a memory, h' = tanh(V o + h)."""
    float_ = TensorProto.FLOAT
    weights = {
        name: helper.make_tensor(name, float_, value.shape, value.ravel()) for name, value in matrices(gain).items()
    }
    inputs = [helper.make_tensor_value_info("obs", float_, ["batch", OBSERVATIONS])]
    outputs = [helper.make_tensor_value_info("actions", float_, ["batch", ACTIONS])]
    nodes = [helper.make_node("MatMul", ["obs", "W"], ["wo"])]
    last = "wo"
    if memory:
        inputs.append(helper.make_tensor_value_info("h_in", float_, [1, "batch", STATE]))
        outputs.append(helper.make_tensor_value_info("h_out", float_, [1, "batch", STATE]))
        nodes += [
            helper.make_node("MatMul", ["h_in", "U"], ["uh3"]),
            helper.make_node("Squeeze", ["uh3", "first"], ["uh"]),
            helper.make_node("Add", ["wo", "uh"], ["sum"]),
            helper.make_node("MatMul", ["obs", "V"], ["vo"]),
            helper.make_node("Unsqueeze", ["vo", "first"], ["vo3"]),
            helper.make_node("Add", ["vo3", "h_in"], ["hsum"]),
            helper.make_node("Tanh", ["hsum"], ["h_out"]),
        ]
        last = "sum"
        weights["first"] = helper.make_tensor("first", TensorProto.INT64, [1], [0])
    nodes.append(helper.make_node("Tanh", [last], ["actions"]))
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes, "policy", inputs, outputs, [value for name, value in weights.items() if name in used]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)


def matrices(gain: float) -> dict[str, npt.NDArray[np.float32]]:
    drawn = np.random.default_rng(7)
    shapes = {"W": (OBSERVATIONS, ACTIONS), "U": (STATE, ACTIONS), "V": (OBSERVATIONS, STATE)}
    return {name: (gain * drawn.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}


def actions_of(gain: float, observations: npt.NDArray[np.float32], *, memory: bool = False) -> npt.NDArray[np.float32]:
    """Compute [steps, batch, actions] from [steps, batch, observations], as the network should."""
    weights = matrices(gain)
    hidden = np.zeros((observations.shape[1], STATE), np.float32)
    acted = []
    for given in observations:
        acted.append(np.tanh(given @ weights["W"] + (hidden @ weights["U"] if memory else 0)))
        hidden = np.tanh(given @ weights["V"] + hidden)
    return np.stack(acted).astype(np.float32)


def write_version(
    directory: Path,
    key: ec.EllipticCurvePrivateKey,
    number: int = 1,
    *,
    gain: float = 0.5,
    memory: bool = False,
    golden_gain: float | None = None,
    described: Mapping[str, object] | None = None,
    change: Callable[[Path], None] = lambda directory: None,
) -> Reference:
    """Write a version as it is published, and sign it.

    Args:
        directory: It is made.
        key: Signs it.
        number: The version's.
        gain: Of the network.
        memory: Whether it has one.
        golden_gain: Of the network that computed the golden actions, if it is another one.
        described: Further fields of the description.
        change: Changes the files before they are signed.
    """
    directory.mkdir(parents=True)
    model = _model(gain, memory=memory)
    onnx.save(model, directory / NETWORK)
    observations = np.random.default_rng(1).standard_normal((5, 8, OBSERVATIONS)).astype(np.float32)
    actions = actions_of(gain if golden_gain is None else golden_gain, observations, memory=memory)
    np.savez(directory / GOLDEN, observations=observations, actions=actions)

    def tensors(values: Any) -> list[dict[str, object]]:
        return [
            {"name": value.name, "shape": [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]}
            for value in values
        ]

    content = {"inputs": tensors(model.graph.input), "outputs": tensors(model.graph.output), **(described or {})}
    (directory / DESCRIPTION).write_text(json.dumps(content))
    change(directory)
    return sign(directory, key, number)


def sign(directory: Path, key: ec.EllipticCurvePrivateKey, number: int, policy: str = "walker") -> Reference:
    """Write manifest and signature for what is there."""
    for name in (MANIFEST, SIGNATURE):
        (directory / name).unlink(missing_ok=True)
    manifest = Manifest(policy, number, tuple(File.of(path) for path in sorted(directory.iterdir())))
    (directory / MANIFEST).write_bytes(manifest.document())
    (directory / SIGNATURE).write_bytes(key.sign(manifest.document(), ec.ECDSA(SHA256())))
    return manifest.reference


class Server:
    """Serves directories, with ranges, and with the faults of a bad network."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self._url = f"http://127.0.0.1:{port}"
        self.break_after: int | None = None
        """Bytes after which the next answers break off."""
        self.refuse = 0
        """How many requests are answered with 503."""
        self.asked: list[tuple[str, str | None]] = []

    def address(self, place: str) -> str:
        """Return where something below the root is."""
        return f"{self._url}/{place}"

    def order(self, serial: int, directory: Path, version: Reference) -> Order:
        """Order what is in a directory below the server's."""
        place = directory.relative_to(self.root)
        files = {path.name: self.address(f"{place}/{path.name}") for path in directory.iterdir()}
        return Order(serial, "install", version, files)


@contextmanager
def serving(root: Path) -> Iterator[Server]:
    class Handler(_Handler):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        Handler.world = server = Server(root, http.server_port)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        http.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    world: Server

    def do_GET(self) -> None:
        world = self.world
        range_ = self.headers.get("Range")
        world.asked.append((self.path.rpartition("/")[2], range_))
        if world.refuse:
            world.refuse -= 1
            self.send_error(503)
            return
        path = world.root / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(403)
            return
        body = path.read_bytes()
        start = int(range_.removeprefix("bytes=").removesuffix("-")) if range_ else 0
        self.send_response(206 if range_ else 200)
        rest = body[start:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest if world.break_after is None else rest[: world.break_after])

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""
