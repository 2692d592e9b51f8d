"""The fields that saved queries of Logs Insights read, and those that the log lines have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

DISCOVERED = {
    "@timestamp", "@message", "@logStream", "@log",
    # Of Lambda's own lines:
    "@type", "@duration", "@initDuration", "@maxMemoryUsed",
}  # fmt: skip
"""docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html"""
OF_MACHINES = {"type", "details.name"}
"""The embedded AWS writes no log of executions: docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html"""
OF_EXCEPTIONS = {"exception_name"}
"""Fields of errors: docs.aws.amazon.com/powertools/python/latest/core/logger/#logging-exceptions"""

_LITERAL = re.compile(r"'[^']*'|(?<=like )/(?:\\.|[^/])+/")
_PARSED = re.compile(r"^\| parse .+ as (.+)$", re.MULTILINE)
_ALIAS = re.compile(r"\bas (\w+)")
_FIELD = re.compile(r"@?\b[A-Za-z_][\w.]*\b(?!\()")
_WORDS = {"fields", "filter", "sort", "limit", "stats", "parse", "by", "as", "like", "in", "or", "and", "asc", "desc"}


def fields_of(query: str) -> set[str]:
    """The fields of log lines that a query reads, without the names that it gives itself."""
    text = _LITERAL.sub(" ", query)
    made = {name for names in _PARSED.findall(text) for name in names.split(", ")} | set(_ALIAS.findall(text))
    return set(_FIELD.findall(text)) - made - _WORDS


def keys_of(lines: Iterable[str]) -> set[str]:
    """The keys of those lines that are JSON objects."""
    keys: set[str] = set()
    for line in lines:
        if line.startswith("{"):
            keys |= json.loads(line).keys()
    return keys
