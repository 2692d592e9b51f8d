"""No call by a role of the deployment was denied while the checks ran."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gaitway.acceptance.check import Check, CheckFailedError, Effort, Findings, NotShownError
from gaitway.acceptance.checks.training import FIRST

if TYPE_CHECKING:
    from gaitway.acceptance.site import Site

_DENIED = ("AccessDenied", "UnauthorizedOperation")
"""Beginnings of the errorCode of a denied call, or its endings if EC2 puts `Client.` before it:
docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html.
"""
_DELAY = timedelta(minutes=15)
"""Until CloudTrail's event history shows a call: aws.amazon.com/cloudtrail/faqs/. It is not guaranteed."""
_PAUSE_SECONDS = 0.6
"""Two look-ups a second: docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html."""
_MOST_PAGES = 400
"""Of 50 events."""
_IN_LOGS = "AccessDenied"


@dataclass(frozen=True)
class Denial:
    """A call that a policy did not allow."""

    role: str
    call: str
    """As in `s3.amazonaws.com GetBucketPolicy`."""
    error: str

    def __str__(self) -> str:
        return f"{self.role} called {self.call}: {self.error}"


def denials(events: Iterable[Mapping[str, Any]], roles: Iterable[str]) -> list[Denial]:
    """Find the calls of our roles that were denied.

    Args:
        events: As CloudTrail records them (the field CloudTrailEvent, parsed).
        roles: Names of the roles.
    """
    ours = set(roles)
    found = []
    for event in events:
        code = str(event.get("errorCode", ""))
        role = event.get("userIdentity", {}).get("sessionContext", {}).get("sessionIssuer", {}).get("userName")
        if role in ours and any(word in code for word in _DENIED):
            found.append(
                Denial(role, f"{event.get('eventSource')} {event.get('eventName')}", event.get("errorMessage") or code)
            )
    return found


def judge_denials(found: list[Denial], lines: list[str]) -> str | None:
    """Return which calls were denied; None if none were.

    Args:
        found: Calls that CloudTrail recorded.
        lines: Log lines of functions and jobs about denied calls.
    """
    if found:
        return f"{len(found)} calls were denied, first: {found[0]}"
    if lines:
        return f"{len(lines)} lines in the logs of functions and jobs report denied calls, first: {lines[0].strip()}"
    return None


def _run(site: Site, findings: Findings) -> None:
    if not site.is_embedded:
        _wait_for_cloudtrail(site)
    events = list(_events(site))
    found = denials(events, [name.rpartition("/")[2] for name in site.resources("AWS::IAM::Role")])
    lines = _log_lines(site)
    since = site.began_at.strftime("%H:%M UTC")
    findings.note(
        "recorded by CloudTrail", f"{len(events)} management events since {since}, {len(found)} denied to our roles"
    )
    findings.note("in the logs", f"{len(lines)} lines of functions and jobs with {_IN_LOGS}")
    findings.note(
        "not recorded", "data events, such as reading an object or an item: a trail of the account may have them"
    )
    findings.quote("denied calls", [str(denial) for denial in found])
    findings.quote("log lines", lines)
    if problem := judge_denials(found, lines):
        raise CheckFailedError(problem)


def _wait_for_cloudtrail(site: Site) -> None:
    shown_at = datetime.now(UTC) + _DELAY
    with site.progress.waiting(f"Waiting until {shown_at.astimezone():%H:%M}, when CloudTrail shows the latest calls"):
        while datetime.now(UTC) < shown_at:
            time.sleep(1)


def _events(site: Site) -> Iterator[dict[str, Any]]:
    """Read the management events since the checks began.

    Raises:
        NotShownError: There are too many.
    """
    cloudtrail = site.client("cloudtrail")
    position: dict[str, str] = {}
    for _ in range(_MOST_PAGES):
        page = cloudtrail.lookup_events(StartTime=site.began_at, **position)
        yield from (json.loads(event["CloudTrailEvent"]) for event in page["Events"])
        if not (token := page.get("NextToken")):
            return
        position = {"NextToken": token}
        time.sleep(_PAUSE_SECONDS)
    raise NotShownError(
        f"the account has had more than {50 * _MOST_PAGES} management events since the checks began: ask a trail for "
        "errorCode AccessDenied of the roles of the stacks"
    )


def _log_lines(site: Site) -> list[str]:
    logs = site.client("logs")
    since = int(site.began_at.timestamp() * 1000)
    found: list[str] = []
    for group in site.resources("AWS::Logs::LogGroup"):
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, startTime=since, filterPattern=f'"{_IN_LOGS}"'
        )
        found += [event["message"] for page in pages for event in page["events"] if _IN_LOGS in event["message"]]
    return found


CHECK = Check(
    name="denied-calls",
    title="No role was denied a call",
    effort=Effort(minutes=17),
    leaves="nothing",
    run=_run,
    needs=(FIRST,),
)
