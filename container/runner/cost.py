"""What an attempt costs: the price of its machines times the time for which it has them."""

from __future__ import annotations

from datetime import datetime

from gaitway.contracts.history import Cost, Machine


def cost_of(machine: Machine | None, since: datetime, until: datetime) -> Cost | None:
    """Reckon what an attempt has cost; None where no price is known.

    Args:
        machine: What it runs on.
        since: When it had its machine: when that began to pull the image, as far as anybody knows.
        until: Up to when.
    """
    if machine is None or machine.usd_per_hour is None:
        return None
    seconds = max(0.0, (until - since).total_seconds()) * machine.nodes
    return Cost(usd=seconds / 3600 * machine.usd_per_hour, machine_seconds=seconds)
