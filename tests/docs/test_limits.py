"""The pages that name a limit in time in a sentence of their own name the one that is deployed."""

import pytest

from gaitway.contracts.limits import (
    CALLER_GRACE_SECONDS,
    CALLER_LIMITS,
    HEARTBEAT_CALL_SECONDS,
    IDLE_ALLOWANCE_SECONDS,
    JOB_HEARTBEAT_TIMEOUT_SECONDS,
    LONGEST_RUN_SECONDS,
    SILENT_ALARM_SECONDS,
)
from handbook.reference import DOCS

NUMBERS = {5: "five", 10: "ten"}
TRAIN, EVALUATE = CALLER_LIMITS["train"], CALLER_LIMITS["evaluate"]


def minutes(seconds: int) -> str:
    """Write a limit as pages do."""
    return f"{NUMBERS.get(seconds // 60, seconds // 60)} minutes"


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("vams.md", f"| {TRAIN.timeout_seconds} s, {TRAIN.heartbeat_seconds} s |"),
        ("vams.md", f"| {EVALUATE.timeout_seconds} s, {EVALUATE.heartbeat_seconds} s |"),
        ("vams.md", f"has had no caller for {minutes(CALLER_GRACE_SECONDS)}"),
        (
            "vams-comparison.md",
            f"{TRAIN.timeout_seconds // 3600} hours to train, {EVALUATE.timeout_seconds // 3600} to",
        ),
        ("architecture.md", f"checks all active runs every {minutes(HEARTBEAT_CALL_SECONDS)}"),
        ("architecture.md", f"has had no caller for {minutes(CALLER_GRACE_SECONDS)}"),
        ("dashboard.md", f"has written nothing for {minutes(SILENT_ALARM_SECONDS)}"),
        ("dashboard.md", f"makes no progress for {minutes(IDLE_ALLOWANCE_SECONDS)}"),
        ("dashboard.md", f"run after {minutes(JOB_HEARTBEAT_TIMEOUT_SECONDS)} without a heartbeat"),
        ("dashboard.md", f"end after {minutes(JOB_HEARTBEAT_TIMEOUT_SECONDS)} ({EVALUATE.heartbeat_seconds // 60} for"),
        ("deploy.md", f"after up to {minutes(JOB_HEARTBEAT_TIMEOUT_SECONDS)}, when a heartbeat is"),
        ("deploy.md", f"for up to {LONGEST_RUN_SECONDS // 3600} hours, longer than any attempt"),
        ("settings.md", f"given up after {JOB_HEARTBEAT_TIMEOUT_SECONDS} seconds without one"),
    ],
)
def test_a_page_names_the_limit_that_is_deployed(page: str, said: str) -> None:
    text = " ".join((DOCS / page).read_text(encoding="utf-8").split())
    assert said in text, f"docs/{page} does not say: {said}"
