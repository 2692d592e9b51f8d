"""No file, however odd, is anything but a policy that is taken or a refusal with its cause; and none of it is run."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaitway.libraries import LIBRARIES, RlLibrary
from gaitway.libraries.content import Checkpoint, Other, recognise, refusal
from gaitway.libraries.pickled import read_pickle
from lambdas.observability import logger
from tests.checkpoints import FILES, ONNX, checkpoint
from tests.fuzz.control_plane import ControlPlane, message
from tests.fuzz.effort import examples
from tests.fuzz.test_requests import check
from tests.fuzz.wire import Wire

REAL = [path.read_bytes() for path in sorted(FILES.glob("*.*")) if path.suffix in (".pt", ".pth", ".zip", ".onnx")]
LIBRARY = st.sampled_from(list(LIBRARIES))
HURT = Path(f"/tmp/gaitway-fuzz-{os.getpid()}")


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    level = logger.log_level
    logger.setLevel(logging.CRITICAL)  # thousands of lines
    yield ControlPlane()
    logger.setLevel(level)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a real file with a few things wrong with it."""
    data = bytearray(draw(st.sampled_from(REAL)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["cut", "flip", "fill", "insert", "behind", "front"])):
            case "cut":
                del data[at:]
            case "flip":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=4))
            case "fill":
                data[at : at + 64] = bytes(len(data[at : at + 64]))
            case "insert":
                data[at:at] = draw(st.binary(max_size=64))
            case "behind":
                data += draw(st.sampled_from([b"\0" * 30, b"PK\x05\x06", bytes(data[:200])]))
            case "front":
                data[:0] = draw(st.sampled_from([b"\xef\xbb\xbf", b"HTTP/1.1 200 OK\r\n\r\n", b"\0" * 8]))
    return bytes(data)


pickles = st.lists(
    st.sampled_from(
        [
            b"}", b"]", b")", b"(", b"0", b"1", b"2", b"N", b"\x88", b"K\x01", b"J\xff\xff\xff\x7f",
            b"X\x05\0\0\0model",
            b"X\x10\0\0\0model_state_dict", b"X\x06\0\0\0policy", b"q\0", b"r\xff\xff\xff\x7f", b"h\0",
            b"h\x09", b"\x94",
            b"s", b"u", b"a", b"e", b"d", b"l", b"t", b"\x85", b"\x86", b"\x87", b"R", b"b", b"o", b"\x81", b"\x92",
            b"Q",
            b"cos\nsystem\n", b"\x8c\x02os", b"\x8c\x06system", b"\x93", b"ios\nsystem\n", b"\x82\x01",
            b"\x8f", b"\x90",
            b"V" + f"touch {HURT}".encode() + b"\n", b"ctorch\nFloatStorage\n", b"ccollections\nOrderedDict\n", b".",
        ]
    ),
    max_size=40,
).map(lambda parts: b"\x80\x02" + b"".join(parts) + b".")  # fmt: skip
"""Opcodes in any order."""


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """Draw a zip archive with the names of a checkpoint, and something in them."""
    names = st.sampled_from(
        [
            "archive/data.pkl", "data.pkl", "a/b/data.pkl", "archive/data/0", "archive/code/m.py",
            "archive/constants.pkl",
            "policy.pth", "run/model_9.pt", "../../etc/passwd", "/data.pkl", "archive\\data.pkl", "é/data.pkl",
            "x" * 300,
            "archive/version", "archive/data.pkl/",
        ]
    )  # fmt: skip
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as archive:
        for name in draw(st.lists(names, max_size=5, unique=True)):
            archive.writestr(name, draw(pickles | st.binary(max_size=50) | st.just(bytes(1_000_000))))
    return stream.getvalue()


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """Draw a beginning that a format has, and noise behind it."""
    beginnings = [ONNX.read_bytes()[:20], b"PK\x03\x04", b"PK\x05\x06", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."]
    beginnings += [b"\x1f\x8b", b"<html>", b"version https://git-lfs", b"\x08\x07\x12", b"\x80", b"\x80\x04", b""]
    beginnings += [struct.pack("<Q", draw(st.integers(0, 2**64 - 1))) + b"{", bytes(257) + b"ustar"]
    return draw(st.sampled_from(beginnings)) + draw(st.binary(max_size=600))


files = st.one_of(damaged(), archives(), pickles, headers(), st.binary(max_size=600))


@examples(150)
@given(files, LIBRARY, st.booleans())
def test_whatever_a_file_holds_is_told_or_refused(data: bytes, library: RlLibrary, may_be_exported: bool) -> None:
    found = recognise(io.BytesIO(data), len(data))
    said = refusal(found, library, may_be_exported=may_be_exported)
    if isinstance(found, Other):
        assert said
    if said is not None:
        assert said.startswith("which ")
        assert len(said) < 2_000
    assert not HURT.exists()


@examples(150)
@given(pickles)
def test_a_pickle_is_read_or_not_whole(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        read_pickle(data)
    assert not HURT.exists()


@examples(50)
@given(files, LIBRARY, st.sampled_from(["evaluate", "train"]))
def test_a_request_with_an_odd_file_is_a_run_or_a_refusal(
    plane: ControlPlane, data: bytes, library: RlLibrary, mode: str
) -> None:
    field = "policyS3Uri" if mode == "evaluate" else "resumeCheckpoint"
    training = {"mode": mode, "rlLibrary": library, field: "s3://assets/a/model_9.pt"}
    event = {"body": message(inputParameters={"trainingConfig": training})}
    outcome = plane.put_through(event, Wire({"assets/a/model_9.pt": data}))
    check(outcome)
    found = recognise(io.BytesIO(data), len(data))
    if isinstance(found, Checkpoint) and found.library == library and not found.foreign:
        assert outcome.constructed is not None, outcome.refusal


@examples(20)
@given(LIBRARY, LIBRARY)
def test_a_whole_checkpoint_is_taken_by_its_library_and_no_other(
    plane: ControlPlane, written: RlLibrary, asked: RlLibrary
) -> None:
    training = {"mode": "evaluate", "rlLibrary": asked, "policyS3Uri": "s3://assets/a/model_9.pt"}
    event = {"body": message(inputParameters={"trainingConfig": training})}
    outcome = plane.put_through(event, Wire({"assets/a/model_9.pt": checkpoint(written)}))
    assert (outcome.constructed is not None) == (written == asked)
    if outcome.refusal is not None:
        assert f'"rlLibrary": "{written}"' in outcome.refusal.cause
