"""What a node says is kept on the file system as well, where the job asks for that."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from gaitway.runner.host.node_log import copied_output

LINE = logging.LogRecord("runner", logging.INFO, "", 0, "a line of the log", None, None)


def test_output_and_errors_are_copied_from_one_attempt_to_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = tmp_path / "runs" / "run-1" / "logs"
    for attempt in (1, 2):
        with copied_output({"GAITWAY_NODE_LOGS": str(logs), "RANK": "1"}):
            sys.stdout.write(f"attempt {attempt}\n")
            handler = logging.StreamHandler(sys.stderr)
            handler.emit(LINE)
    # As at the end of a process.
    handler.emit(LINE)
    expected = "attempt 1\na line of the log\nattempt 2\na line of the log\n"
    assert (logs / "node-1.log").read_text() == expected
    said = capsys.readouterr()
    assert (said.out, said.err) == ("attempt 1\nattempt 2\n", "a line of the log\n" * 3)


def test_a_line_is_there_when_it_is_written(tmp_path: Path) -> None:
    with copied_output({"GAITWAY_NODE_LOGS": str(tmp_path)}):
        sys.stdout.write("one\n")
        assert (tmp_path / "node-0.log").read_text() == "one\n"


def test_an_error_that_ends_the_runner_is_copied(tmp_path: Path) -> None:
    with pytest.raises(KeyError), copied_output({"GAITWAY_NODE_LOGS": str(tmp_path)}):
        raise KeyError("nobody expects it")
    assert "KeyError: 'nobody expects it'" in (tmp_path / "node-0.log").read_text()


def test_without_a_place_nothing_is_copied() -> None:
    stream = sys.stdout
    with copied_output({}):
        assert sys.stdout is stream


def test_what_cannot_be_copied_is_said_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    with copied_output({"GAITWAY_NODE_LOGS": str(tmp_path / "file")}):
        sys.stdout.write("one\n")
    said = capsys.readouterr().out
    assert said.startswith("there is no copy of this output: ")
    assert said.endswith("\none\n")
