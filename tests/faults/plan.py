"""What the simulator of a run does, and when it fails. It imports only the standard library, to start fast."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

START = "start"
"""Before the first iteration or episode."""
END = "end"
"""After all work."""


@dataclass(frozen=True)
class Act:
    """A fault in a simulator."""

    do: str
    """Name of a function in simulator.py."""
    at: int | str
    """After this iteration or episode, from 0; or `START`, or `END`."""
    attempts: tuple[int, ...] = ()
    """The starts of the simulator, from 1, in which it happens; all, when empty."""
    value: float = 0.0
    rank: int = 0
    """The process of the training, one on each node, in which it happens."""


@dataclass(frozen=True)
class Plan:
    """The plan for the simulator of one run."""

    acts: tuple[Act, ...] = ()
    pace_seconds: float = 0.15
    """Seconds per iteration or episode."""
    simulator: str = "scripted"
    """The simulator; `embedded` is the real one."""
    clock_skew_seconds: float = 0.0
    """Error of the job's clock."""
    late_node_attempts: tuple[int, ...] = ()
    """Attempts of the job in which the last node's container never starts."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of the job, which override those of its definition."""

    def write(self, path: Path) -> None:
        """Write it for the job to read."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read a plan; a run without a plan has no faults."""
        if not path.is_file():
            return cls()
        document: dict[str, Any] = json.loads(path.read_text())
        acts = tuple(Act(**{**act, "attempts": tuple(act["attempts"])}) for act in document.pop("acts"))
        late = tuple(document.pop("late_node_attempts"))
        return cls(acts=acts, late_node_attempts=late, **document)


def plan_path(directory: Path, run_id: str) -> Path:
    """Path of a run's plan."""
    return directory / f"{run_id}.plan.json"


def ledger_path(directory: Path, run_id: str) -> Path:
    """Path of the file in which a run's processes record what they did."""
    return directory / f"{run_id}.ledger.jsonl"


def note(directory: Path, run_id: str, **entry: object) -> None:
    """Record what has just happened, in whole lines, even if several processes write at the same time."""
    with ledger_path(directory, run_id).open("a") as file:
        file.write(json.dumps(entry) + "\n")


def ledger(directory: Path, run_id: str) -> list[dict[str, Any]]:
    """Read what was recorded."""
    path = ledger_path(directory, run_id)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
