"""Series are read as far as they go, and thinned out without losing an extreme."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaitway.report.series import parted, read_columns, smoothed, thinned, window_of


def test_what_is_no_number_counts_as_none_and_a_torn_row_as_none_at_all(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_bytes(b"step,reward,success\n0,1.5,True\n1,,False\n2,nan,\xff\n3,4")

    columns = read_columns(file)

    assert list(columns["step"]) == [0, 1, 2]
    assert [str(value) for value in columns["reward"]] == ["1.5", "nan", "nan"]
    assert [str(value) for value in columns["success"]] == ["1.0", "0.0", "nan"]


@pytest.mark.parametrize("content", [None, b"", b"\n", b"step\n", b"\x00\x01", b'"' + b"a" * 200_000])
def test_a_file_that_tells_nothing_has_no_values(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "metrics.csv"
    if content is not None:
        file.write_bytes(content)

    assert not any(map(len, read_columns(file).values()))


def test_thinning_keeps_the_ends_and_every_extreme() -> None:
    values = [(index * 7919 % 10_007) / 10_007 for index in range(100_000)]
    values[31_415], values[92_653] = -5.0, 7.0

    points = thinned(range(len(values)), values)

    assert len(points) <= 1200
    assert points[0] == (0, values[0])
    assert points[-1] == (99_999, values[-1])
    assert {(31_415, -5.0), (92_653, 7.0)} <= set(points)
    assert points == sorted(points)


def test_a_running_mean_has_no_lag_and_keeps_a_straight_line() -> None:
    line = [2.0 * index for index in range(500)]

    assert window_of(len(line)) == 21
    assert smoothed(line, 21) == pytest.approx(line)
    assert window_of(2) == 1
    assert smoothed([1.0, 5.0], 21) == [1.0, 5.0]
    assert smoothed([3.0, 0.0, 0.0], 21) == [3.0, 1.0, 0.0]


def test_a_line_is_interrupted_after_each_break() -> None:
    assert parted([1, 2, 3, 4], [5, 6, 7, 8], [2, 3.5, 9]) == [([1, 2], [5, 6]), ([3], [7]), ([4], [8])]
