"""Quantities of Kubernetes: kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

_QUANTITY = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<suffix>m|[kMGTPE]|[KMGTPE]i)?")
_FACTORS = {"m": 1e-3, "k": 1e3} | {
    f"{letter}{i}": float((1024 if i else 1000) ** power)
    for power, letter in enumerate("KMGTPE", start=1)
    for i in ("", "i")
}


def amount(quantity: object) -> float:
    """Return the number that a quantity stands for.

    Raises:
        ValueError: It is none.
    """
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None:
        raise ValueError(f"quantities must match the regular expression of a quantity: {quantity!r}")
    return float(match["number"]) * _FACTORS.get(match["suffix"], 1.0)


def requests(pod_spec: Mapping[str, Any], times: int = 1) -> dict[str, float]:
    """Add up what the containers of a pod request; a limit counts where there is no request."""
    total: dict[str, float] = defaultdict(float)
    for container in pod_spec["containers"]:
        resources = container.get("resources") or {}
        asked = (resources.get("limits") or {}) | (resources.get("requests") or {})
        for name, quantity in asked.items():
            total[name] += amount(quantity) * times
    return dict(total)


def added(many: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Add several up."""
    total: dict[str, float] = defaultdict(float)
    for one in many:
        for name, count in one.items():
            total[name] += count
    return dict(total)


def fits(needs: Mapping[str, float], free: Mapping[str, float]) -> bool:
    """Return whether there is enough of everything."""
    return all(count <= free.get(name, 0) for name, count in needs.items())
