"""docs/operations.md: its tables of known failures come from the code that searches for them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gaitway.compute.batch_job import BY_BATCH, BY_ITSELF
from gaitway.compute.ends import End
from gaitway.contracts.limits import (
    CALLER_GRACE_SECONDS,
    CLOSING_SECONDS,
    HEARTBEAT_CALL_SECONDS,
    JOB_HEARTBEAT_TIMEOUT_SECONDS,
    RETRY_SECONDS,
)
from gaitway.contracts.simulation import EXIT_BAD_REQUEST, EXIT_NOT_A_NUMBER, EXIT_STOPPED
from gaitway.runner.known_failures import KNOWN_FAILURES, KnownFailure
from gaitway.runner.run import EXIT_ATTEMPT_AGAIN, EXIT_DONE, EXIT_FAILED
from handbook.limits import by_mode, limits_table
from handbook.page import cell, code, page
from lambdas.build_image.known_failures import KNOWN_FAILURES as BUILD_FAILURES

_RUNNER = {
    EXIT_DONE: "the run succeeded, or no caller waits for it",
    EXIT_FAILED: "it failed, and the inner state machine received the reason; Batch makes no further attempt",
    EXIT_ATTEMPT_AGAIN: "the next attempt resumes from its newest checkpoint",
}
_SIMULATOR = {
    EXIT_BAD_REQUEST: "a RequestError: it was asked for something that does not exist; its last line says what",
    EXIT_NOT_A_NUMBER: "a NotANumberError: the training diverged",
    EXIT_STOPPED: "it was asked to stop, and saved a checkpoint first: a BudgetExceededError",
}


def operations_page() -> str:
    """Write docs/operations.md."""
    return page(
        "operations.md",
        simulators=_failures((one.pattern, one) for one in KNOWN_FAILURES),
        builds=_builds(),
        batch=_failures((*BY_BATCH, *BY_ITSELF)),
        runner=_codes(_RUNNER),
        simulator=_codes(_SIMULATOR),
        limits=limits_table(),
        job_heartbeat_minutes=str(JOB_HEARTBEAT_TIMEOUT_SECONDS // 60),
        caller_heartbeat_minutes=by_mode("heartbeat_seconds", "minutes", 60),
        caller_hours=by_mode("timeout_seconds", "hours", 3600),
        closing_minutes=str(CLOSING_SECONDS // 60),
        caller_grace_minutes=str(CALLER_GRACE_SECONDS // 60),
        retry_minutes=str(RETRY_SECONDS // 60),
        heartbeat_minutes=str(HEARTBEAT_CALL_SECONDS // 60),
    )


def _failures(failures: Iterable[tuple[re.Pattern[str], KnownFailure | End]]) -> str:
    rows = (
        f"| {code(_first_words(pattern))} | {one.error.__name__} | {cell(one.explanation)} |"
        for pattern, one in failures
    )
    return "\n".join(("| message, for example | error | meaning, and what to do |", "|---|---|---|", *rows))


def _builds() -> str:
    rows = (f"| {code(_first_words(one.pattern))} | {cell(one.cure)} |" for one in BUILD_FAILURES)
    return "\n".join(("| message, for example | meaning, and what to do |", "|---|---|", *rows))


def _first_words(pattern: re.Pattern[str]) -> str:
    """Write the first alternative of a pattern as plain text, without the syntax of regular expressions."""
    depth, first = 0, ""
    for character in pattern.pattern:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and depth == 0:
            break
        first += character
    while (shorter := re.sub(r"\(([^()|]*)(\|[^()]*)?\)\??", r"\1", first)) != first:
        first = shorter
    first = re.sub(r"\\s\*", " ", first.replace(".?", ""))
    first = re.sub(r"\.\*|\\w\*|\[[^]]*\][+*]?", "...", first)
    return re.sub(r"\\[bs][*+]?|\\|\?|^\^", "", first).strip()


def _codes(codes: dict[int, str]) -> str:
    return "\n".join(f"| {code} | {meaning} |" for code, meaning in codes.items())
