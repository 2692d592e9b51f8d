"""How runs are written: as tables for people, as JSON for programs."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gaitway.cli.watch import (
    describe_cost,
    describe_machine,
    describe_price,
    describe_progress,
    describe_ran_with,
    describe_state,
)
from gaitway.contracts.backends import DEFAULT_BACKEND
from gaitway.contracts.run import RunState
from gaitway.formatting import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaitway.contracts.request import Request
    from gaitway.contracts.run import Progress, RunRecord

_INTERNAL = {"message_digest", "job_claimed_at", "caller_gone_at"}
"""What the functions keep for themselves in a record."""
SHORT_ID = len("run-") + 8
"""This part of an id is usually unique, and enough for every command."""
_PIPE_WIDTH = 200
_LONG_COLUMNS = ("TASK", "NAME")
"""Columns that shrink in a narrow terminal; ids do not, so that they can be copied."""
_STYLES = {RunState.SUCCEEDED: "green", RunState.FAILED: "red", RunState.RUNNING: "cyan"}


def console(*, stderr: bool = False) -> Console:
    """Return a console; for a pipe or a file it is wide enough for every line."""
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, width=None if terminal else _PIPE_WIDTH, highlight=False)


def print_json(document: object) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def document_of(record: RunRecord) -> dict[str, Any]:
    """Describe a run for a program."""
    fields = record.model_dump(mode="json", exclude=_INTERNAL)
    return fields | {"output_files": str(record.output_files) if record.output_files else None}


def list_table(records: Sequence[RunRecord], now: datetime | None = None) -> Table:
    """Write runs in a table, one line for each; with their back ends where it is not the default one for all."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    backends = [record.spec.compute.backend if record.spec else "" for record in records]
    says_where = not {DEFAULT_BACKEND, ""}.issuperset(backends)
    where = ("BACKEND",) if says_where else ()
    for column in ("RUN", "STATE", "MODE", *where, "TASK", "NAME", "PROGRESS", "REWARD", "AGE", "TOOK"):
        table.add_column(column, no_wrap=column not in _LONG_COLUMNS)
    for record, backend in zip(records, backends, strict=True):
        table.add_row(
            record.run_id[:SHORT_ID],
            _state(record),
            record.mode or "",
            *([backend] if says_where else []),
            Text(record.task or "", no_wrap=True, overflow="ellipsis"),
            Text(record.name or "", no_wrap=True, overflow="ellipsis"),
            f"{record.progress.done}/{record.progress.total}" if record.progress else "",
            _reward(record.progress),
            _age(((now or datetime.now(UTC)) - record.created_at).total_seconds()),
            duration((record.ended_at - record.created_at).total_seconds()) if record.ended_at else "",
        )
    return table


def run_table(record: RunRecord) -> Table:
    """Print everything that is known about a run."""
    spec = record.spec
    rows: dict[str, object] = {
        "run": record.run_id,
        "name": record.name,
        "description": spec.description if spec else None,
        "group": record.group_id,
        "follows from": record.parent_run_id,
        "state": _state(record),
        "mode": record.mode,
        "task": record.task,
        "simulator": record.simulator,
        "library": spec.training.library if spec else None,
        "back end": spec.compute.backend if spec else None,
        "environments": spec.training.num_envs if spec else None,
        "nodes, GPUs each": f"{spec.compute.num_nodes}, {spec.compute.gpus_per_node}" if spec else None,
        "progress": describe_progress(record.progress) if record.progress else None,
        "asked for": _moment(record.created_at),
        "started": _moment(record.started_at),
        "ended": _moment(record.ended_at),
        "took": duration((record.ended_at - record.created_at).total_seconds()) if record.ended_at else None,
        "attempts": record.attempts,
        "interrupted by": record.interruption,
        "remark": "\n".join(record.remarks) or None,
        "machine": describe_machine(record.machine) if record.machine else None,
        "ran with": describe_ran_with(record.ran_with) if record.ran_with else None,
        "cost": describe_cost(record),
        "computed from": describe_price(record.machine) if record.machine and record.cost else None,
        **({name.replace("_", " "): file.uri for name, file in spec.inputs.items()} if spec else {}),
        "job": record.job_id,
        "execution": record.execution_arn,
        "outputs": record.output_files,
        "warnings": "\n".join(record.warnings) if record.warnings else None,
        "error": record.failure.error if record.failure else None,
        "cause": record.failure.cause if record.failure else None,
    }
    return _two_columns(rows)


def request_table(request: Request) -> Table:
    """Write a request with every default filled in."""
    rows: dict[str, object] = {
        "name": request.name,
        "description": request.description,
        "groupId": request.group_id,
        "parentRunId": request.parent_run_id,
    }
    training = request.training_config
    rows |= training.model_dump(mode="json", by_alias=True, exclude_none=True)
    rows |= request.compute_config.model_dump(mode="json", by_alias=True)
    return _two_columns({name: value for name, value in rows.items() if value != []})


def _reward(progress: Progress | None) -> str:
    return "" if progress is None or progress.mean_reward is None else f"{progress.mean_reward:.1f}"


def _age(seconds: float) -> str:
    """Write a time in its largest unit only."""
    return " ".join(duration(seconds).split()[:2])


def _state(record: RunRecord) -> Text:
    return Text(describe_state(record), style=_STYLES.get(record.state, ""))


def _moment(moment: datetime | None) -> str | None:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z") if moment else None


def _two_columns(rows: dict[str, object]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True, style="dim")
    # An ARN is shown in full, so that it can be copied.
    table.add_column(overflow="fold")
    for name, value in rows.items():
        if value is not None:
            table.add_row(name, value if isinstance(value, Text) else Text(str(value)))
    return table
