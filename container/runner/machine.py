"""What the job runs on, and what that costs: its instance has written it down when it booted (instance_boot.sh)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from gaitway.contracts.history import Machine
from gaitway.instance_prices import price_of

logger = logging.getLogger(__name__)


def read_machine(path: Path | None, num_nodes: int, prices: Mapping[str, float]) -> Machine | None:
    """Read what the nodes of a job are; None where the instance does not say, which ends no run.

    Args:
        path: The instance's file; None where the job has none.
        num_nodes: Of the job: all its instances count as this one.
        prices: USD per hour by instance type, as far as a deployer has set them.
    """
    if path is None:
        return None
    try:
        machine = Machine.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        logger.warning("what this machine is, and so what it costs, is not known: %s", error)
        return None
    price = price_of(machine.instance_type, prices)
    if price is None:
        logger.warning("an hour of %s costs an unknown price: set instancePrices", machine.instance_type)
    return machine.model_copy(
        update={
            "nodes": num_nodes,
            "usd_per_hour": price.usd_per_hour if price else None,
            "price_as_of": price.as_of if price else None,
        }
    )
