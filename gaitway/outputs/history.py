"""The history and cost of a run's attempts: `attempts.json`, beside the run's files."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from gaitway.contracts.artifacts import HISTORY
from gaitway.contracts.history import Cost, RunHistory

logger = logging.getLogger(__name__)


def read_history(directory: Path) -> RunHistory | None:
    """Read what a run's attempts have written down; None where none has, or it cannot be read.

    Args:
        directory: The run's directory.
    """
    try:
        return RunHistory.read((directory / HISTORY).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        logger.warning("%s cannot be read: %s", HISTORY, error)
        return None


def total_cost(history: RunHistory | None, recorded: Cost | None) -> Cost | None:
    """Return what a run has cost; None if no price is known.

    For an attempt that was killed, history and record may each lack its last minute.

    Args:
        history: The history that its attempts have written.
        recorded: The cost in its record.
    """
    added = together(attempt.cost for attempt in history.attempts) if history else None
    return max((cost for cost in (added, recorded) if cost is not None), key=lambda cost: cost.usd, default=None)


def together(costs: Iterable[Cost | None]) -> Cost | None:
    """Add up what is known; None where nothing is."""
    known = [cost for cost in costs if cost is not None]
    if not known:
        return None
    return Cost(usd=sum(cost.usd for cost in known), machine_seconds=sum(cost.machine_seconds for cost in known))
