"""Each saved query of CloudWatch Logs Insights runs, and the story of a run is found with it."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gaitway.acceptance.check import Check, CheckFailedError, Effort, Findings
from gaitway.acceptance.checks.training import FIRST
from gaitway.acceptance.query_fields import DISCOVERED, OF_EXCEPTIONS, OF_MACHINES, fields_of, keys_of
from gaitway.client.logs import RunLogs

if TYPE_CHECKING:
    from gaitway.acceptance.site import Site

_PARAMETER = re.compile(r"\{\{(\w+)\}\}")
_SECONDS = 120.0


def judge_result(name: str, text: str, status: str, rows: int) -> str | None:
    """Return what is wrong with the result of a query; None if nothing is.

    Args:
        name: Name of the query.
        text: The query; if it has a run as parameter, it must find it.
        status: A status of docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetQueryResults.html.
        rows: How many rows it found.
    """
    if status != "Complete":
        return f"{name} ended as {status}"
    if rows == 0 and _PARAMETER.search(text):
        return f"{name} found nothing about a run that has just ended"
    return None


def judge_fields(name: str, text: str, known: set[str]) -> str | None:
    """Say which fields a query reads that no log line has; None where there are none."""
    unknown = fields_of(text) - known
    return f"{name} reads {', '.join(sorted(unknown))}, which no log line has" if unknown else None


def _run(site: Site, findings: Findings) -> None:
    logs = site.client("logs")
    ours = set(site.resources("AWS::Logs::QueryDefinition"))
    definitions = [one for one in _definitions(logs) if one["queryDefinitionId"] in ours]
    if len(definitions) < len(ours) or not ours:
        raise CheckFailedError(f"the stacks have {len(ours)} saved queries, and CloudWatch knows {len(definitions)}")
    problems = _read_fields(site, findings, definitions) if site.is_embedded else _run_all(site, findings, definitions)
    if problems:
        raise CheckFailedError("; ".join(problems))


def _definitions(logs: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    found: list[dict[str, Any]] = []
    position: dict[str, str] = {}
    while True:
        page = logs.describe_query_definitions(**position)
        found += page["queryDefinitions"]
        if not (token := page.get("nextToken")):
            return found
        position = {"nextToken": token}


def _read_fields(site: Site, findings: Findings, definitions: list[dict[str, Any]]) -> list[str]:
    """The embedded AWS runs no query: what the queries read is compared with what log lines have."""
    pages = site.client("logs").get_paginator("filter_log_events")
    groups = {group for definition in definitions for group in definition["logGroupNames"]}
    lines = [
        event["message"] for group in groups for page in pages.paginate(logGroupName=group) for event in page["events"]
    ]
    known = keys_of("\n".join(lines).splitlines()) | DISCOVERED | OF_MACHINES | OF_EXCEPTIONS
    problems = []
    for one in definitions:
        problem = judge_fields(one["name"], one["queryString"], known)
        findings.note(one["name"], problem or f"its {len(fields_of(one['queryString']))} fields are in log lines")
        problems += [problem] if problem else []
    return problems


def _run_all(site: Site, findings: Findings, definitions: list[dict[str, Any]]) -> list[str]:
    record = site.trial(FIRST).record
    stream = RunLogs(site.session, site.commands, site.deployment.run_table_name).stream(record)
    values = {"run_id": record.run_id, "log_stream": stream.stream if stream else ""}
    problems = []
    for one in definitions:
        text = _PARAMETER.sub(lambda match: values.get(match[1], ""), one["queryString"])
        with site.progress.waiting(f"Running the query {one['name']}"):
            status, rows = _result(site, one["logGroupNames"], text)
        findings.note(one["name"], f"{status}, {rows} rows")
        problem = judge_result(one["name"], one["queryString"], status, rows)
        problems += [problem] if problem else []
    return problems


def _result(site: Site, groups: list[str], text: str) -> tuple[str, int]:
    """Run a query; return how it ended, and how many rows it found."""
    logs = site.client("logs")
    query_id = logs.start_query(
        logGroupNames=groups,
        startTime=int(site.began_at.timestamp()),
        endTime=int(datetime.now(UTC).timestamp()),
        queryString=text,
    )["queryId"]
    give_up_at = time.monotonic() + _SECONDS
    while True:
        result = logs.get_query_results(queryId=query_id)
        if result["status"] not in ("Scheduled", "Running") or time.monotonic() > give_up_at:
            return str(result["status"]), len(result.get("results", []))
        time.sleep(1)


CHECK = Check(
    name="saved-queries",
    title="The saved queries find what runs have logged",
    effort=Effort(minutes=2),
    leaves="nothing",
    run=_run,
    needs=(FIRST,),
)
