"""Nobody sees half a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaitway.simulators.common.files import written_whole


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "model_1.pt"
    with written_whole(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        assert not list(tmp_path.glob("*.pt")), "nobody takes the temporary file for a checkpoint"
        temporary.write_text("whole")
    assert target.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [target]


def write_until_the_disk_is_full(target: Path) -> None:
    with written_whole(target) as temporary:
        temporary.write_text("half")
        raise OSError("disk full")


def test_a_failed_write_leaves_the_file_that_stood_there(tmp_path: Path) -> None:
    target = tmp_path / "model_1.pt"
    target.write_text("old")
    with pytest.raises(OSError, match="disk full"):
        write_until_the_disk_is_full(target)
    assert target.read_text() == "old"
