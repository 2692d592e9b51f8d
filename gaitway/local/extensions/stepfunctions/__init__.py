"""Step Functions: what MiniStack's interpreter of the Amazon States Language lacks."""

from functools import cache

from gaitway.local.extensions.stepfunctions import callbacks, errors, executions, lambda_errors, paths, quotas


@cache
def register() -> None:
    """Replace MiniStack's functions by ours; a second call changes nothing."""
    errors.register()
    paths.register()
    executions.register()
    callbacks.register()
    lambda_errors.register()
    quotas.register()
