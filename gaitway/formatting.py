"""Numbers, times and sizes as a person reads them."""

from __future__ import annotations

import math

_MINUS = "\N{MINUS SIGN}"
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def number(value: float | None, digits: int = 4) -> str:
    """Write a number with some significant digits, ten thousand and more with a unit: 289.5, 69.27k."""
    if value is None or not math.isfinite(value):
        return "\N{EN DASH}"
    for size, unit in _UNITS:
        if max(size, 10_000) <= abs(value) < 1e15:
            return f"{_plain(value / size, digits)}{unit}"
    return _plain(value, digits)


def tick(value: float, step: float) -> str:
    """Write a value on an axis, with as many decimals as distinguish it from its neighbours.

    Args:
        value: The value.
        step: How far away the next one is.
    """
    largest = max(abs(value), step)
    if largest >= 1e15 or step < 1e-4:
        return f"{value:.3g}"
    fitting = (pair for pair in _UNITS if step >= pair[0] / 100 and largest >= max(pair[0], 10_000))
    size, unit = next(fitting, (1, ""))
    decimals = max(0, -math.floor(math.log10(step / size) + 1e-9))
    text = f"{value / size:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", _MINUS) + (unit if value else "")


def percent(share: float, decimals: int = 1) -> str:
    """Write a share of one."""
    text = f"{100 * share:.{decimals}f}"
    return f"{text.removesuffix('.' + '0' * decimals)} %"


def duration(seconds: float) -> str:
    """Write a time in its two largest units."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def short_duration(seconds: float) -> str:
    """Write a time in its two largest units; below ten seconds with a decimal."""
    return f"{max(0.0, seconds):.1f} s" if seconds < 9.95 else duration(seconds)


def size(count: int) -> str:
    """Write a number of bytes."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def dollars(usd: float) -> str:
    """Write a price: in cents, or with as many digits as show that it is not zero."""
    return f"{usd:,.2f} USD" if usd == 0 or usd >= 0.1 else f"{usd:.2g} USD"


def _plain(value: float, digits: int) -> str:
    text = f"{value:.{digits}g}"
    if "e" in text and abs(value) < 1e15 and abs(value) >= 1:
        text = f"{value:.0f}"
    return text.replace("-", _MINUS)
