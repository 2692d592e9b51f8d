"""What was asked of several runs, where that differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gaitway.report.reported_run import ReportedRun

_NOT_ASKED_FOR = {"run_id", "name", "description"}


@dataclass(frozen=True)
class Difference:
    """A value that is not the same in all runs."""

    key: str
    """`trainingConfig.seed`."""
    values: list[str]
    """As many as there are runs; empty where a run has none."""


def differences(runs: Sequence[ReportedRun]) -> list[Difference]:
    """Compare the requests, versions and images of runs."""
    documents = [dict(_flat(_document(run))) for run in runs]
    keys = dict.fromkeys(key for document in documents for key in document)
    found = (Difference(key, [document.get(key, "") for document in documents]) for key in keys)
    return [difference for difference in found if len(set(difference.values)) > 1]


def _document(run: ReportedRun) -> object:
    asked = run.config.model_dump(mode="json", by_alias=True, exclude=_NOT_ASKED_FOR) if run.config else {}
    return asked | ({"ranWith": ran_with.model_dump(mode="json")} if (ran_with := run.results.ran_with) else {})


def _flat(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _flat(part, f"{key}.{name}" if key else name)
    else:
        yield key, ", ".join(map(_text, value)) if isinstance(value, list) else _text(value)


def _text(value: object) -> str:
    """Write a value as the request has it; nothing for null."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
