"""What the job runs on, and its price: the instance writes a description when it boots (instance_boot.sh)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from gaitway.contracts.history import Machine
from gaitway.instances.prices import price_of

logger = logging.getLogger(__name__)


def read_machine(path: Path | None, num_nodes: int, prices: Mapping[str, float]) -> Machine | None:
    """Read the machines of a job; None if the instance has no description, which is not an error.

    Args:
        path: The instance's file; None if the job has none.
        num_nodes: Nodes of the job; all their instances are taken to be like this one.
        prices: USD per hour by instance type, from the settings.
    """
    if path is None:
        return None
    try:
        machine = Machine.read(path.read_bytes())
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
