"""What an hour of each instance type of EC2 and SageMaker costs on demand: `prices.json`, list prices of us-east-1."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_TABLE = json.loads(Path(__file__).with_name("prices.json").read_text(encoding="utf-8"))

LOCAL = "local"
"""Stands for a developer's machine, which costs nothing unless a setting gives it a price."""
AS_OF: str = _TABLE["as_of"]
SOURCE: str = _TABLE["source"]
LIST_PRICES: dict[str, float] = _TABLE["usd_per_hour"]
"""By instance type of EC2."""
SAGEMAKER_AS_OF: str = _TABLE["sagemaker"]["as_of"]
SAGEMAKER_SOURCE: str = _TABLE["sagemaker"]["source"]
SAGEMAKER_PRICES: dict[str, float] = _TABLE["sagemaker"]["usd_per_hour"]
"""Of training, by instance type of SageMaker."""

ML = "ml."
"""Before the name of an instance type of SageMaker."""


class Price(NamedTuple):
    """The price of an hour of an instance."""

    usd_per_hour: float
    as_of: str | None
    """Date of the price list, or `setting`; None for a machine without a price."""


def price_of(instance_type: str, settings: Mapping[str, float]) -> Price | None:
    """Look a price up; None where it is not known.

    Args:
        instance_type: `g6.2xlarge`, `ml.g6.2xlarge`, or `local`.
        settings: Prices that a deployer has set (`instancePrices`), which come first.
    """
    if instance_type in settings:
        return Price(settings[instance_type], "setting")
    if instance_type == LOCAL:
        return Price(0.0, None)
    if instance_type in SAGEMAKER_PRICES:
        return Price(SAGEMAKER_PRICES[instance_type], SAGEMAKER_AS_OF)
    listed = LIST_PRICES.get(instance_type)
    return Price(listed, AS_OF) if listed is not None else None
