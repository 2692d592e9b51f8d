"""Series of numbers for charts: read, smoothed, and reduced without losing an extreme."""

from __future__ import annotations

import csv
import logging
import math
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, compress, pairwise
from pathlib import Path

logger = logging.getLogger(__name__)

_BUCKETS = 300
"""About as many as a chart has pixels for a line."""
_WINDOW_SHARE = 25
"""A moving mean is taken over this part of a series."""
_LARGEST = 1e100
"""Larger values are reduced to this, so that no sum or square overflows."""
_TRUTH = {"True": 1.0, "False": 0.0}


def read_columns(path: Path | None) -> dict[str, array[float]]:
    """Read a CSV file's columns of numbers, each as long as the file; NaN stands for what is not a number.

    A missing or damaged file is read as far as possible.
    """
    columns: dict[str, array[float]] = {}
    try:
        if path is None:
            return {}
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            rows = csv.reader(file)
            columns = {name: array("d") for name in next(rows, [])}
            series = list(columns.values())
            for row in rows:
                if len(row) == len(series):
                    for values, text in zip(series, row, strict=True):
                        values.append(_number(text))
    except (OSError, csv.Error) as error:
        logger.warning("%s cannot be read to its end: %s", path, error)
    shortest = min(map(len, columns.values()), default=0)
    return {name: values[:shortest] for name, values in columns.items()}


def finite(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    """Leave out points with a coordinate that is NaN or infinite."""
    is_kept = [math.isfinite(a) and math.isfinite(b) for a, b in zip(x, y, strict=True)]
    return list(compress(x, is_kept)), list(compress(y, is_kept))


def window_of(count: int) -> int:
    """Choose over how many of so many values a running mean is taken, an odd number; 1 where there are too few."""
    return 2 * (count // _WINDOW_SHARE // 2) + 1


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """Average each value with its neighbours, with fewer of them towards the ends.

    Args:
        values: Finite numbers.
        window: Over how many each is averaged, an odd number.
    """
    half = min(window, len(values)) // 2
    half -= 2 * half + 1 > len(values)
    window = 2 * half + 1
    sums = [0.0, *accumulate(values)]
    middle = [(end - begin) / window for begin, end in zip(sums, sums[window:], strict=False)]
    first = [sums[2 * reach + 1] / (2 * reach + 1) for reach in range(half)]
    last = [(sums[-1] - sums[-2 - 2 * reach]) / (2 * reach + 1) for reach in reversed(range(half))]
    return [*first, *middle, *last]


def parted(
    x: Sequence[float], y: Sequence[float], breaks: Sequence[float]
) -> list[tuple[Sequence[float], Sequence[float]]]:
    """Part a series where its line is interrupted.

    Args:
        x: In ascending order.
        y: As many.
        breaks: A part ends with the last point up to each of these, in ascending order.
    """
    borders = [0, *(bisect_right(x, at) for at in breaks), len(x)]
    return [(x[begin:end], y[begin:end]) for begin, end in pairwise(borders) if begin < end]


def thinned(x: Sequence[float], y: Sequence[float]) -> list[tuple[float, float]]:
    """Choose the points that a drawing shows: of each column of pixels the first, the last, the lowest and the highest.

    That is M4 of Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation" (VLDB 2014), which draws the
    very same line.

    Args:
        x: In ascending order.
        y: As many.
    """
    if len(x) <= 4 * _BUCKETS:
        return list(zip(x, y, strict=True))
    width = len(x) / _BUCKETS
    kept: list[tuple[float, float]] = []
    for begin, end in pairwise(round(width * bucket) for bucket in range(_BUCKETS + 1)):
        indices = range(begin, end)
        chosen = {begin, end - 1, min(indices, key=y.__getitem__), max(indices, key=y.__getitem__)}
        kept += ((x[index], y[index]) for index in sorted(chosen))
    return kept


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return _TRUTH.get(text, math.nan)
    return (
        value
        if -_LARGEST <= value <= _LARGEST
        else math.copysign(_LARGEST, value)
        if math.isfinite(value)
        else math.nan
    )
