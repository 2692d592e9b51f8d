"""What a deployment costs while nothing runs: `python -m bench.idle_cost` prints docs/deploy.md's table."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gaitway.instances.prices import LIST_PRICES, SOURCE

_PRICES = Path(__file__).parents[1] / "docs" / "prices.json"


@dataclass(frozen=True)
class Line:
    """One line of a bill."""

    what: str
    quantity: float
    unit: str
    price: float
    source: str

    @property
    def cost(self) -> float:
        """USD in a month."""
        return self.quantity * self.price


def read(part: str) -> list[Line]:
    """Read the lines of `idle` or `warm`."""
    return [_line(line) for line in json.loads(_PRICES.read_text(encoding="utf-8"))[part]]


def _line(document: dict[str, Any]) -> Line:
    """Read a line; the price of an instance comes from the table that the cost of runs is computed from."""
    name = document.pop("instance_type", None)
    if name is not None:
        document |= {"what": f"one {name}", "price": LIST_PRICES[name], "source": SOURCE}
    return Line(**document)


def table(lines: list[Line]) -> str:
    """Write lines and their sum in Markdown."""
    rows = [
        f"| {line.what} | {line.quantity:g} {line.unit} at {f'{line.price:.10f}'.rstrip('0').rstrip('.')} "
        f"| {line.cost:.2f} |"
        for line in lines
    ]
    total = f"| **together** | | **{sum(line.cost for line in lines):.2f}** |"
    return "\n".join(["| what | how much | USD a month |", "|---|---|---|", *rows, total])


if __name__ == "__main__":
    for part in ("idle", "warm"):
        sys.stdout.write(f"{table(read(part))}\n\n")
