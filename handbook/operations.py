"""docs/operations.md: what is known of failures comes from where it is looked for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from container.runner.known_failures import KNOWN_FAILURES, KnownFailure
from container.runner.run import EXIT_ATTEMPT_AGAIN, EXIT_DONE, EXIT_FAILED
from gaitway.contracts.simulation import EXIT_BAD_REQUEST, EXIT_NOT_A_NUMBER, EXIT_STOPPED
from handbook.page import cell, code, page
from lambdas.job_ends import BY_BATCH, BY_ITSELF, End

_RUNNER = {
    EXIT_DONE: "the run succeeded, or nobody waits for it",
    EXIT_FAILED: "it failed, and the inner machine was told why; Batch attempts nothing more",
    EXIT_ATTEMPT_AGAIN: "it goes on in the next attempt, from its newest checkpoint",
}
_SIMULATOR = {
    EXIT_BAD_REQUEST: "a RequestError: it was asked for what is not there; its last line says what",
    EXIT_NOT_A_NUMBER: "a NotANumberError: the training diverged",
    EXIT_STOPPED: "it was asked to stop, and saved a checkpoint first: a BudgetExceededError",
}


def operations_page() -> str:
    """Write docs/operations.md."""
    return page(
        "operations.md",
        simulators=_failures(KNOWN_FAILURES),
        batch=_failures((*BY_BATCH, *BY_ITSELF)),
        runner=_codes(_RUNNER),
        simulator=_codes(_SIMULATOR),
    )


def _failures(failures: Iterable[KnownFailure | End]) -> str:
    rows = (
        f"| {code(_first_words(one.pattern))} | {one.error.__name__} | {cell(one.explanation)} |" for one in failures
    )
    return "\n".join(("| such as | error | what it means, and what to do |", "|---|---|---|", *rows))


def _first_words(pattern: re.Pattern[str]) -> str:
    """Write the first of the alternatives that a pattern looks for, without what only a machine reads."""
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
