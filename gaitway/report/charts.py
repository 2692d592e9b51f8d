"""Charts as the page's templates draw them: lines and bars in a plane of 100,000 by 100,000, which the page stretches.

Only what is inside the plane is SVG. All labels around it are text of the page: they keep their size on a phone, and
like the lines they take their colours from the page's style sheet.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from gaitway.formatting import number, tick
from gaitway.report.series import finite, parted, smoothed, thinned, window_of

PLANE = 100_000
"""Height and width of the plane; y points down, as in SVG."""
TONES = 8
"""So many colours there are for lines; `--line-1` and so on in the style sheet."""
_MAX_MARKS = 50
_LEAST = 1e-200
"""Values that are closer together than this are one and the same."""


@dataclass(frozen=True)
class Tick:
    """A value on an axis."""

    percent: float
    """Its position, from the axis' beginning."""
    text: str


@dataclass(frozen=True)
class Path:
    """A line in the plane."""

    label: str
    tone: int
    """The number of its colour, from 1."""
    d: str
    """As SVG has it."""
    is_faint: bool = False
    """Whether it is only the background of another line."""


@dataclass(frozen=True)
class Bar:
    """A bar in the plane."""

    x: int
    y: int
    width: int
    height: int
    style: str
    """Its class in the style sheet."""
    title: str


@dataclass(frozen=True)
class Chart:
    """What a template draws."""

    title: str
    description: str
    """What it shows, for those who do not see it."""
    x_label: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    paths: list[Path] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    marks: list[Tick] = field(default_factory=list)
    """Vertical lines, and what happened there."""
    note: str = ""
    """Text beside the title, such as the last value."""
    is_small: bool = False

    @property
    def key(self) -> str:
        """Names it within the page."""
        return "chart-" + hashlib.sha256(self.title.encode()).hexdigest()[:10]

    @property
    def y_width(self) -> int:
        """Characters of the longest value on the vertical axis."""
        return max((len(tick.text) for tick in self.y_ticks), default=1)


@dataclass(frozen=True)
class Line:
    """A series to be drawn."""

    label: str
    x: Sequence[float]
    """In ascending order."""
    y: Sequence[float]
    """As many; NaN and infinite values are left out."""
    tone: int = 1
    is_smoothed: bool = False
    """Whether its running mean is drawn over it."""
    breaks: Sequence[float] = ()
    """Where on the horizontal axis it is interrupted, in ascending order."""


def line_chart(
    title: str,
    x_label: str,
    lines: Iterable[Line],
    *,
    marks: Sequence[tuple[float, str]] = (),
    y_range: tuple[float, float] | None = None,
    is_small: bool = False,
) -> Chart | None:
    """Draw series as lines; None if no series has a point.

    Args:
        title: Title of the chart.
        x_label: Unit of the horizontal axis.
        lines: The series.
        marks: Events on the horizontal axis: position and label.
        y_range: The least range to show.
        is_small: Whether it is one of many small charts.
    """
    drawn = [(line, *finite(line.x, line.y)) for line in lines]
    drawn = [(line, x, y) for line, x, y in drawn if x]
    if not drawn:
        return None
    x_axis = _Axis.around((value for _, x, _ in drawn for value in x), is_tight=True)
    y_axis = _Axis.around([*(value for _, _, y in drawn for value in y), *(y_range or ())])
    paths: list[Path] = []
    windows: set[int] = set()
    for line, x, y in drawn:
        parts = parted(x, y, line.breaks)
        window = window_of(len(x)) if line.is_smoothed else 1
        if window > 1:
            windows.add(window)
            paths.insert(0, Path(line.label, line.tone, _path(parts, x_axis, y_axis), is_faint=True))
            parts = [(at, smoothed(values, window)) for at, values in parts]
        paths.append(Path(line.label, line.tone, _path(parts, x_axis, y_axis)))
    descriptions = [
        f"{line.label}: {len(x)} values from {number(min(y))} to {number(max(y))}, the last one {number(y[-1])}."
        for line, x, y in drawn
    ]
    if windows:
        descriptions.append(f"The strong line is the mean over {_list(windows)} values.")
    return Chart(
        title=title,
        description=f"{title} by {x_label}. {' '.join(descriptions)}",
        x_label=x_label,
        x_range=(x_axis.low, x_axis.high),
        y_range=(y_axis.low, y_axis.high),
        x_ticks=x_axis.ticks(4 if is_small else 6),
        y_ticks=y_axis.ticks(4 if is_small else 5),
        paths=paths,
        marks=[Tick(x_axis.percent(at), text) for at, text in marks[:_MAX_MARKS] if x_axis.low <= at <= x_axis.high],
        note=f"last {number(drawn[0][2][-1])}" if len(drawn) == 1 else "",
        is_small=is_small,
    )


def histogram(title: str, x_label: str, values: Sequence[float], successes: Sequence[bool]) -> Chart | None:
    """Draw a distribution of values; successes are stacked below failures. None if all values are the same.

    Args:
        title: Title of the chart.
        x_label: What the values are.
        values: Finite numbers.
        successes: For each value, whether its episode succeeded.
    """
    low, high = min(values), max(values)
    if not high - low > _LEAST:
        return None
    count = min(40, max(6, math.ceil(2 * len(values) ** (1 / 3))))
    if all(value.is_integer() for value in values):
        count = min(count, int(high - low) + 1)
    width = (high - low) / count
    tallies = [[0, 0] for _ in range(count)]
    for value, success in zip(values, successes, strict=True):
        tallies[min(count - 1, int((value - low) / width))][not success] += 1
    x_axis = _Axis(low, high)
    mean = fmean(values)
    y_axis = _Axis(0, 1.05 * max(map(sum, tallies)))
    bars = []
    for index, tally in enumerate(tallies):
        left, right = round(PLANE * index / count), round(PLANE * (index + 1) / count)
        between = f"{number(low + index * width)} to {number(low + (index + 1) * width)}"
        base = 0
        for style, tally_of_one in zip(("success", "miss"), tally, strict=True):
            if tally_of_one:
                top, bottom = y_axis.down(base + tally_of_one), y_axis.down(base)
                text = f"{between}: {tally_of_one} {'succeeded' if style == 'success' else 'failed'}"
                bars.append(Bar(left, top, max(1, right - left), bottom - top, style, text))
            base += tally_of_one
    return Chart(
        title=title,
        description=f"{title}: {len(values)} episodes, {x_label} from {number(low)} to {number(high)}.",
        x_label=x_label,
        x_range=(x_axis.low, x_axis.high),
        y_range=(y_axis.low, y_axis.high),
        x_ticks=x_axis.ticks(6),
        y_ticks=y_axis.ticks(5, least_step=1),
        bars=bars,
        marks=[Tick(x_axis.percent(mean), f"mean {number(mean)}")],
    )


@dataclass(frozen=True)
class _Axis:
    """A range of values along one side of the plane."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Iterable[float], *, is_tight: bool = False) -> _Axis:
        """Include all of the values, with a margin unless that is unwanted."""
        found = list(values)
        low, high = min(found), max(found)
        largest = max(abs(low), abs(high))
        if not high - low > max(1e-12 * largest, _LEAST):
            margin = max(0.05 * largest, _LEAST) if largest else 1.0
            return cls(low - margin, high + margin)
        margin = 0.0 if is_tight else 0.05 * (high - low)
        # Zero is a floor where nothing is below it.
        return cls(max(0.0, low - margin) if low >= 0 else low - margin, high + margin)

    def percent(self, value: float) -> float:
        return round(100 * (value - self.low) / (self.high - self.low), 3)

    def along(self, value: float) -> int:
        return round(PLANE * (value - self.low) / (self.high - self.low))

    def down(self, value: float) -> int:
        return PLANE - self.along(value)

    def ticks(self, most: int, least_step: float = 0.0) -> list[Tick]:
        """Choose round values, at most so many, at least so far apart."""
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next((factor * power for factor in (1, 2, 5) if factor * power >= rough * (1 - 1e-9)), 10 * power)
        step = max(step, least_step)
        first = math.ceil(self.low / step - 1e-9)
        values = [(first + index) * step for index in range(most + 1)]
        return [Tick(self.percent(value), tick(value, step)) for value in values if value <= self.high + 1e-9 * step]


def _path(parts: Iterable[tuple[Sequence[float], Sequence[float]]], x_axis: _Axis, y_axis: _Axis) -> str:
    d = []
    for x, y in parts:
        points = [(x_axis.along(a), y_axis.down(b)) for a, b in thinned(x, y)]
        # A line of no length shows as a dot.
        d.append("M" + "L".join(f"{a} {b}" for a, b in points) + ("h0" if len(points) == 1 else ""))
    return "".join(d)


def _list(windows: set[int]) -> str:
    return " or ".join(str(window) for window in sorted(windows))
