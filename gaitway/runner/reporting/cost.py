"""The cost of an attempt: the price of its machines times the time for which it has them."""

from __future__ import annotations

from datetime import datetime

from gaitway.contracts.history import Cost, Machine


def cost_of(machine: Machine | None, since: datetime, until: datetime) -> Cost | None:
    """Calculate what an attempt has cost; None if no price is known.

    Args:
        machine: What the attempt runs on.
        since: When the attempt got its machine: when that began to pull the image, if that is known.
        until: End of the time.
    """
    if machine is None or machine.usd_per_hour is None:
        return None
    seconds = max(0.0, (until - since).total_seconds()) * machine.nodes
    return Cost(usd=seconds / 3600 * machine.usd_per_hour, machine_seconds=seconds)
