"""What the simulator of a run does, and when it goes wrong. No import beside the standard library: it starts fast."""

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
    """Something that goes wrong in a simulator."""

    do: str
    """Name of a function in simulator.py."""
    at: int | str
    """After this iteration or episode, from 0; or `START`, or `END`."""
    attempts: tuple[int, ...] = ()
    """In which starts of the simulator, from 1; in all, when empty."""
    value: float = 0.0


@dataclass(frozen=True)
class Plan:
    """One run's simulator."""

    acts: tuple[Act, ...] = ()
    pace_seconds: float = 0.15
    """Per iteration or episode."""
    simulator: str = "scripted"
    """Or `embedded`, the real one."""
    clock_skew_seconds: float = 0.0
    """By how much the job's clock is wrong."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment of the job, over its definition's."""

    def write(self, path: Path) -> None:
        """Write it for the job to read."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read what was written; a run without a plan has nothing go wrong."""
        if not path.is_file():
            return cls()
        document: dict[str, Any] = json.loads(path.read_text())
        acts = tuple(Act(**{**act, "attempts": tuple(act["attempts"])}) for act in document.pop("acts"))
        return cls(acts=acts, **document)


def plan_path(directory: Path, run_id: str) -> Path:
    """Where a run's plan is."""
    return directory / f"{run_id}.plan.json"


def ledger_path(directory: Path, run_id: str) -> Path:
    """Where a run's processes write down what they did."""
    return directory / f"{run_id}.ledger.jsonl"


def note(directory: Path, run_id: str, **entry: object) -> None:
    """Write down what has just happened: whole lines, whoever writes at the same time."""
    with ledger_path(directory, run_id).open("a") as file:
        file.write(json.dumps(entry) + "\n")


def ledger(directory: Path, run_id: str) -> list[dict[str, Any]]:
    """Read what was written down."""
    path = ledger_path(directory, run_id)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
