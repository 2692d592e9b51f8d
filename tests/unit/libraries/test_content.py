"""A file that is given as a policy is told from its content: checkpoints of every library, and what people send."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gaitway.libraries import RlLibrary
from gaitway.libraries.content import Checkpoint, Content, Exported, Other, recognise, refusal
from gaitway.libraries.pickled import Thing, read_pickle
from tests.checkpoints import EXPORTED, FILES, ONNX, checkpoint


def content(data: bytes) -> Content:
    return recognise(io.BytesIO(data), len(data))


def saved(value: object, **options: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, **options)
    return stream.getvalue()


def zipped(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, body in files.items():
            archive.writestr(name.replace("__", "/"), body)
    return stream.getvalue()


def tarred(mode: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        archive.add(FILES / "rsl_rl-3.1.2.pt", "run/model_9.pt")
    return stream.getvalue()


FULL = checkpoint()
SAFETENSORS = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
"""Written by hand, as github.com/huggingface/safetensors describes the format."""
MODEL = torch.nn.Linear(2, 2)


@pytest.mark.parametrize("path", sorted(FILES.glob("*-[0-9n]*.*")), ids=lambda path: path.name)
def test_a_checkpoint_tells_its_library(path: Path) -> None:
    library, _, _ = path.name.partition("-")
    assert content(path.read_bytes()) == Checkpoint(library)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "library"),
    [
        ({"model_state_dict": MODEL.state_dict(), "iter": 3, "infos": None}, "rsl_rl"),
        ({"student_state_dict": MODEL.state_dict(), "teacher_state_dict": {}}, "rsl_rl"),
        ({"policy": MODEL.state_dict(), "optimizer": {}, "best": np.float32(3)}, "skrl"),
        ({"model": OrderedDict(MODEL.state_dict()), "env_state": {"curriculum": np.float64(3)}}, "rl_games"),
        (
            {
                "model": MODEL.state_dict(),
                "epoch": torch.tensor(3),
                "device": torch.device("cpu"),
                "dtype": torch.bfloat16,
            },
            "rl_games",
        ),
    ],
)
@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_every_format_of_torch_is_read(value: object, library: RlLibrary, options: dict[str, Any]) -> None:
    found = content(saved(value, **options))
    assert found == Checkpoint(library)
    assert refusal(found, library, may_be_exported=False) is None


def test_an_exported_policy_is_one() -> None:
    assert content(EXPORTED.read_bytes()) == Exported()
    assert refusal(Exported(), "rsl_rl", may_be_exported=True) is None
    assert "exported/policy.json names it" in (refusal(Exported(), "rsl_rl", may_be_exported=False) or "")


@pytest.mark.parametrize(
    ("data", "what", "cure"),
    [
        pytest.param(b"", "an empty file", "upload the file again", id="empty"),
        pytest.param(ONNX.read_bytes(), "an ONNX model", "give the checkpoint that it was exported from", id="onnx"),
        pytest.param(
            len(SAFETENSORS).to_bytes(8, "little") + SAFETENSORS + bytes(4), "safetensors", "model_1499.pt", id="safe"
        ),
        pytest.param(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
            "a Git LFS pointer of 70 bytes",
            "git lfs pull",
            id="lfs",
        ),
        pytest.param(FULL[: len(FULL) // 2], "incomplete or damaged", "upload the file again", id="half"),
        pytest.param(FULL[:-10], "incomplete or damaged", "upload the file again", id="end"),
        pytest.param(FULL[:100], "incomplete or damaged", "upload the file again", id="beginning"),
        pytest.param(
            saved({"model": {}}, _use_new_zipfile_serialization=False)[:40], "incomplete", "upload", id="old-format"
        ),
        pytest.param(
            saved({"model_state_dict": MODEL.state_dict()}, pickle_protocol=4),
            "another pickle protocol",
            "torch.save",
            id="4",
        ),
        pytest.param(
            saved({"policy": MODEL.state_dict()}, pickle_protocol=5), "another pickle protocol", "torch.save", id="5"
        ),
        pytest.param(saved({"model_state_dict": None}), "whose model_state_dict holds no weights", "model_", id="none"),
        pytest.param(saved({"model": {}}), "rl_games whose model holds no weights", "model_", id="no-weights"),
        pytest.param(saved({"policy": 3}), "skrl whose policy holds no weights", "model_", id="number"),
        pytest.param(
            zipped(**{"model_9__model_9__data.pkl": b"", "model_9__model_9__data__0": b""}),
            "unpacked and packed again",
            "without unpacking it",
            id="packed-again",
        ),
        pytest.param(
            b"\xef\xbb\xbfversion https://git-lfs.github.com/spec/v1\n", "a Git LFS", "git lfs pull", id="bom-lfs"
        ),
        pytest.param(
            b'\xef\xbb\xbf{"message": 1}', 'a text file (it begins with \'{"message"', "model_", id="bom-json"
        ),
        pytest.param(b"\r\n <!DOCTYPE html>\n<html>", "a web page or XML", "download it again", id="html"),
        pytest.param(b"\xef\xbb\xbf<?xml version='1.0'?><Error>", "a web page or XML", "download it", id="xml"),
        pytest.param(b'{"message": "Not Found"}', 'a text file (it begins with \'{"message"', "model_", id="json"),
        pytest.param(tarred(), "a tar archive", "unpack it", id="tar"),
        pytest.param(tarred("w:gz"), "a compressed archive (gzip)", "unpack it", id="tgz"),
        pytest.param(tarred("w:bz2"), "a compressed archive (bzip2)", "unpack it", id="tbz"),
        pytest.param(tarred("w:xz"), "a compressed archive (xz)", "unpack it", id="txz"),
        pytest.param(gzip.compress(FULL), "a compressed archive (gzip)", "unpack it", id="gz"),
        pytest.param(
            zipped(**{"run__model_9.pt": FULL, "run__model_10.pt": FULL}),
            "an archive of 2 files",
            "unpack it, and give run/model_10.pt of it",
            id="zip-of-a-run",
        ),
        pytest.param(zipped(setup=b"", tasks=b""), "an archive of other files (setup, tasks)", "model_", id="zip"),
        pytest.param(zipped(), "no checkpoint", "model_1499.pt", id="empty-zip"),
        pytest.param(pickle.dumps({"model": 1}), "a pickle that torch.save did not write", "torch.save", id="pickle"),
        pytest.param(saved(MODEL), "an object of torch.nn.modules.linear.Linear, saved", "state_dict()", id="module"),
        pytest.param(saved(MODEL.state_dict()), "holds weight, bias: no checkpoint of rsl_rl", "model_", id="bare"),
        pytest.param(saved({}), "holds nothing", "model_1499.pt", id="empty-dict"),
        pytest.param(saved([1, 2]), "without a checkpoint's entries", "model_1499.pt", id="list"),
        pytest.param(saved(torch.zeros(3)), "without a checkpoint's entries", "model_1499.pt", id="tensor"),
        pytest.param(b"\x80", "a pickle that torch.save did not write", "torch.save", id="one-byte"),
        pytest.param(bytes(4096), "a file of zeros", "upload the file again", id="zeros"),
        pytest.param(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X", "a side file of macOS", "without ._", id="macos"),
        pytest.param(b"\x89HDF\r\n\x1a\n", "an HDF5 file", "model_1499.pt", id="hdf5"),
        pytest.param(bytes(range(128, 200)), "no checkpoint (it begins with the bytes 80 81", "model_", id="bytes"),
    ],
)
def test_anything_else_is_named_with_its_cure(data: bytes, what: str, cure: str) -> None:
    found = content(data)
    assert isinstance(found, Other)
    assert what in found.what
    assert cure in (refusal(found, "rsl_rl", may_be_exported=True) or "")


@pytest.mark.parametrize("written", ["skrl", "rl_games", "sb3"])
def test_another_librarys_checkpoint_is_refused_with_the_request_that_fits(written: RlLibrary) -> None:
    said = refusal(content(checkpoint(written)), "rsl_rl", may_be_exported=True)
    assert said is not None
    assert said.startswith(f"which is a checkpoint of {written}, but trainingConfig.rlLibrary is 'rsl_rl'")
    assert f'"rlLibrary": "{written}"' in said


class Hostile:
    """What would run a command when it is loaded."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> Any:
        if self.name == "os.system":
            return os.system, (f"touch {HURT}",)
        return {"builtins.eval": eval, "builtins.exec": exec}[self.name], (f"open({str(HURT)!r}, 'w')",)


HURT = Path(f"/tmp/gaitway-hurt-{os.getpid()}")


@pytest.mark.parametrize("name", ["os.system", "builtins.exec", "builtins.eval"])
@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4}])
def test_code_in_a_checkpoint_is_named_and_not_run(name: str, options: dict[str, Any]) -> None:
    data = saved({"model_state_dict": MODEL.state_dict(), "infos": Hostile(name)}, **options)
    found = content(data)
    assert isinstance(found, Checkpoint)
    assert [each.replace("posix", "os").replace("__builtin__", "builtins") for each in found.foreign] == [name]
    assert "loading it would run code of" in (refusal(found, "rsl_rl", may_be_exported=True) or "")
    assert not HURT.exists()


@pytest.mark.parametrize(
    "hostile",
    [
        b"\x80\x02" + b"]" + b"\x85" * 500_000 + b".",
        b"\x80\x02" + b"(" * 100_000 + b".",
        b"\x80\x02}r\xff\xff\xff\x7f.",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"\x80\x020000.",
        b"\x80\x02h\x07.",
        b"cos\nsystem\n(S'true'\ntR.",
    ],
)
def test_a_pickle_made_to_hurt_its_reader_does_not(hostile: bytes) -> None:
    try:
        read = read_pickle(hostile)
    except ValueError:
        return
    assert isinstance(read.content, Thing | dict)


def test_a_pickle_that_is_too_long_to_look_at_is_left_to_the_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gaitway.libraries.content.MAX_PICKLE_BYTES", 100)
    found = content(FULL)
    assert found == Checkpoint(None)
    assert refusal(found, "skrl", may_be_exported=False) is None
