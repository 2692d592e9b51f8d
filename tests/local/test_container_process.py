"""Attempts of one job follow each other at once, and carry the same mark."""

import threading
import uuid
from pathlib import Path

import pytest

from gaitway.local.extensions.batch.container import LogStream, ProcessSpec
from gaitway.local.extensions.batch.process import ContainerProcess
from gaitway.local.guard import MARKER, Guard

NAME = "GAITWAY_TEST_ATTEMPT"


def test_whoever_kills_an_attempt_does_not_kill_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARKER, uuid.uuid4().hex)
    guard = Guard()
    mark = (NAME, uuid.uuid4().hex)

    def start(*command: str) -> ContainerProcess:
        directory = tmp_path / uuid.uuid4().hex
        directory.mkdir()
        spec = ProcessSpec([*command], {NAME: mark[1], "PATH": "/usr/bin:/bin"}, directory)
        return ContainerProcess(mark, spec, LogStream("group", "stream"), guard)

    try:
        for _ in range(10):
            lost = start("sleep", "600")
            killing = threading.Thread(target=lost.kill)
            killing.start()
            assert lost.wait() == 137
            assert start("sleep", "0.1").wait() == 0
            killing.join()
    finally:
        guard.close()
