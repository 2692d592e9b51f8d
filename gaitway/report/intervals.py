"""How far figures from a sample may be trusted: 95 % confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev

_Z = NormalDist().inv_cdf(0.975)


def success_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return Wilson's score interval of a success rate; it is valid for few episodes, and for none or all successful.

    Wilson, "Probable inference, the law of succession, and statistical inference" (JASA 1927).

    Args:
        successes: Number of successes.
        trials: Number of trials; at least one.
    """
    rate = successes / trials
    spread = _Z * math.sqrt(rate * (1 - rate) / trials + _Z**2 / (4 * trials**2))
    centre = rate + _Z**2 / (2 * trials)
    scale = 1 + _Z**2 / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return Student's interval of a mean; None for fewer than two values.

    Args:
        values: Finite, independent numbers.
    """
    if len(values) < 2:
        return None
    centre = fmean(values)
    reach = _student(len(values) - 1) * stdev(values, centre) / math.sqrt(len(values))
    return centre - reach, centre + reach


def _student(freedom: int) -> float:
    """Return Student's t for 95 %: exact for 1 and 2, else Abramowitz and Stegun 26.7.5, within 0.2 % of it."""
    if freedom == 1:
        return math.tan(math.pi * 0.475)
    if freedom == 2:
        return 0.95 * math.sqrt(2 / (1 - 0.95**2))
    z = _Z
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / float(freedom) ** power for power, term in enumerate(terms))
