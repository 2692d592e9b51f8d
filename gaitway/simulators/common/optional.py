"""Steps of a simulation that are optional: if one fails, that is a warning, and what was done stays done."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

BLACK = 16
"""A picture whose values are at most this is black: H.264 has no darker ones in its usual range."""


def warn(text: str) -> None:
    """Give the runner a warning, which results.json, the report and the run's record then show."""
    print(f"Warning of the simulation: {' '.join(text.split())}", flush=True)  # noqa: T201 - the contract's line


@contextmanager
def optional(what: str) -> Iterator[None]:
    """Turn an error of a step into a warning.

    Args:
        what: What is missing then: "the video …".
    """
    try:
        yield
    except Exception as error:
        traceback.print_exc()
        warn(f"{what}: {type(error).__name__}: {error}")
