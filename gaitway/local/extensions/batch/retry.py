"""Whether Batch tries a failed attempt again (docs.aws.amazon.com/batch/latest/userguide/job_retries.html)."""

from gaitway.local.extensions.batch.model import Attempt, EvaluateOnExit, RetryStrategy


def is_retried(strategy: RetryStrategy, attempts: list[Attempt]) -> bool:
    """Decide whether to retry after the last of these attempts, which failed.

    The first rule whose conditions all match decides; a failure that no rule matches is retried.
    """
    if len(attempts) >= strategy.attempts:
        return False
    for rule in strategy.evaluate_on_exit:
        if _matches(rule, attempts[-1]):
            return rule.action.upper() == "RETRY"
    return True


def _matches(rule: EvaluateOnExit, attempt: Attempt) -> bool:
    exit_code = attempt.container.exit_code
    return (
        _matches_pattern(rule.on_exit_code, "" if exit_code is None else str(exit_code))
        and _matches_pattern(rule.on_reason, attempt.container.reason or "")
        and _matches_pattern(rule.on_status_reason, attempt.status_reason)
    )


def _matches_pattern(pattern: str | None, text: str) -> bool:
    """Compare as Batch does: case is ignored; a star at the end matches any text."""
    if pattern is None:
        return True
    pattern, text = pattern.lower(), text.lower()
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern
