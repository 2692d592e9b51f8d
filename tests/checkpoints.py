"""Real checkpoints, which their libraries have written: `tests/data/checkpoints/make.py` says how."""

from __future__ import annotations

from pathlib import Path

from gaitway.libraries import LIBRARIES, RlLibrary

FILES = Path(__file__).parent / "data" / "checkpoints"
OF_LIBRARY: dict[RlLibrary, str] = {
    "rsl_rl": "rsl_rl-5.5.1.pt",
    "rl_games": "rl_games-numpy-2.pth",
    "skrl": "skrl-2.1.1.pt",
    "sb3": "sb3-2.9.2.zip",
}
EXPORTED = FILES / "exported.pt"
ONNX = FILES / "exported.onnx"


def checkpoint(library: RlLibrary = "rsl_rl") -> bytes:
    """Return a checkpoint of a library."""
    return (FILES / OF_LIBRARY[library]).read_bytes()


def named(name: str) -> bytes:
    """Return what belongs into a file of this name: a checkpoint of the library that names them so, or anything."""
    for library, record in LIBRARIES.items():
        if record.number_of(name) is not None or record.is_best(name):
            return checkpoint(library)
    return checkpoint() if name.endswith(".pt") else b"x"
