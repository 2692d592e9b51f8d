"""What a file system refuses is waited out, or told with the place, how full it is, and what to do."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest

from gaitway.contracts.errors import CancelledError, Failure, StorageError
from gaitway.runner.host.storage import is_refusal, patiently, storage_error
from gaitway.runner.processes.output_log import OutputLog
from gaitway.runner.retry import retrying_if
from gaitway.runner.stop import StopRequest

REFUSALS = [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EROFS, errno.EFBIG]


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> StopRequest:
    """Waits for nothing."""
    stop = StopRequest()
    monkeypatch.setattr(stop, "sleep", lambda seconds: stop.check())
    return stop


@pytest.mark.parametrize("number", REFUSALS, ids=lambda number: errno.errorcode[number])
def test_a_refusal_names_the_file_the_reason_how_full_it_is_and_what_to_do(tmp_path: Path, number: int) -> None:
    error = OSError(number, os.strerror(number), str(tmp_path / "results.json"))

    told = storage_error(error, tmp_path)

    assert told is not None
    assert told.retryable
    assert Failure.of(told).error == "StorageError"
    for part in (str(tmp_path / "results.json"), os.strerror(number), errno.errorcode[number], " free", "What to do: "):
        assert part in str(told)


def test_a_refusal_that_names_no_file_is_told_with_the_runs_directory(tmp_path: Path) -> None:
    told = storage_error(OSError(errno.ENOSPC, "No space left on device"), tmp_path / "not" / "there")

    assert str(tmp_path / "not" / "there") in str(told)
    assert f"{tmp_path} has " in str(told)


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "x"), ConnectionResetError(), ValueError()])
def test_other_errors_are_none_of_a_file_system(tmp_path: Path, error: Exception) -> None:
    assert not is_refusal(error)
    assert storage_error(error, tmp_path) is None


def test_a_step_that_is_refused_for_a_while_is_taken_in_the_end(tmp_path: Path, stop: StopRequest) -> None:
    refusals = [OSError(number, "refused") for number in REFUSALS]

    def step() -> str:
        if refusals:
            raise refusals.pop()
        return "taken"

    assert patiently(step, tmp_path, stop) == "taken"


def test_a_step_that_is_refused_for_good_is_given_up(
    tmp_path: Path, stop: StopRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying_if, "__defaults__", (0.0,))

    def step() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "file"))

    with pytest.raises(StorageError, match="No space left on device"):
        patiently(step, tmp_path, stop)


def test_a_wish_to_stop_ends_the_waiting(tmp_path: Path, stop: StopRequest) -> None:
    def step() -> None:
        stop.request(CancelledError("enough"))
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CancelledError):
        patiently(step, tmp_path, stop)


def test_an_error_of_the_step_itself_is_raised_at_once(tmp_path: Path, stop: StopRequest) -> None:
    with pytest.raises(FileNotFoundError):
        patiently(lambda: (tmp_path / "missing").read_text(), tmp_path, stop)


def test_a_log_lacks_what_a_full_disk_refuses_and_says_how_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path, write = tmp_path / "simulator.log", os.write

    def refuse(_: int, __: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with caplog.at_level(logging.WARNING), OutputLog(path) as log:
        log.write("1\n")
        monkeypatch.setattr(os, "write", refuse)
        log.write("2\n")
        log.write("3\n")
        monkeypatch.setattr(os, "write", write)
        log.write("4\n")

    assert path.read_text() == "1\n[2 lines are missing here: they could not be written]\n4\n"
    assert len(caplog.records) == 1


def test_a_log_does_not_follow_what_a_simulator_has_put_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "simulator.log").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic links"), OutputLog(tmp_path / "simulator.log"):
        pass
