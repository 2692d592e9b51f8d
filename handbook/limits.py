"""The limits in time, for docs/operations.md: each with its value, and with the text below it in the source."""

from __future__ import annotations

import ast
import inspect

from gaitway.contracts import limits
from gaitway.contracts.limits import CALLER_LIMITS
from handbook.page import cell


def limits_table() -> str:
    """Write every limit that is a number of seconds, as a table."""
    tree = ast.parse(inspect.getsource(limits))
    rows = [
        f"| `{name}` | {shown} | {cell(text)} |"
        for statement, after in zip(tree.body, tree.body[1:], strict=False)
        if (name := _name(statement)) and (text := _text(after)) and (shown := _shown(getattr(limits, name)))
    ]
    return "\n".join(("| limit | seconds | what it is |", "|---|---|---|", *rows))


def by_mode(limit: str, unit: str, unit_seconds: int) -> str:
    """Write a limit of callers for each mode: `8 hours to train, 2 hours to evaluate`."""
    return ", ".join(f"{getattr(one, limit) // unit_seconds} {unit} to {mode}" for mode, one in CALLER_LIMITS.items())


def _name(statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return statement.target.id
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    return None


def _text(statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return " ".join(str(statement.value.value).split())
    return None


def _shown(value: object) -> str | None:
    """Write a value; None for what is not a number of seconds, or several."""
    if isinstance(value, int):
        return f"{value:,}"
    if value is CALLER_LIMITS:
        return "; ".join(
            f"{mode}: {one.timeout_seconds:,}, {one.heartbeat_seconds:,}" for mode, one in CALLER_LIMITS.items()
        )
    if isinstance(value, dict):
        return ", ".join(f"{name}: {seconds:,}" for name, seconds in value.items())
    return None
