"""Numbers, times and sizes are short, and say no more than is known."""

from __future__ import annotations

import pytest

from gaitway.formatting import dollars, duration, number, percent, short_duration, size, tick


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (289.539, "289.5"),
        (1234.5, "1234"),
        (69265.3, "69.27k"),
        (1e6, "1M"),
        (0.0019753, "0.001975"),
        (-3.0, "\N{MINUS SIGN}3"),
        (float("nan"), "\N{EN DASH}"),
        (None, "\N{EN DASH}"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [
        (150, 50, "150"),
        (0.2, 0.05, "0.2"),
        (0.25, 0.05, "0.25"),
        (20_000, 5_000, "20k"),
        (2.5e6, 5e5, "2.5M"),
        (0, 1e5, "0"),
    ],
)
def test_values_on_an_axis(value: float, step: float, text: str) -> None:
    assert tick(value, step) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (59.4, "59 s"), (125, "2 min 5 s"), (7260, "2 h 1 min"), (180_000, "2 d 2 h")]
)
def test_a_time_is_written_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_times_shares_sizes_and_prices() -> None:
    assert [short_duration(seconds) for seconds in (0.04, 4.86, 59.4, 125, 7_300, 90_000)] == [
        "0.0 s",
        "4.9 s",
        "59 s",
        "2 min 5 s",
        "2 h 1 min",
        "1 d 1 h",
    ]
    assert [percent(share) for share in (1, 0.963, 0)] == ["100 %", "96.3 %", "0 %"]
    assert [size(count) for count in (0, 1023, 1536, 2**30)] == ["0 B", "1023 B", "1.5 KiB", "1.0 GiB"]
    assert [dollars(usd) for usd in (0, 0.00031, 0.54, 1234.5)] == [
        "0.00 USD",
        "0.00031 USD",
        "0.54 USD",
        "1,234.50 USD",
    ]
