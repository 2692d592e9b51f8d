"""Functions that were not called for weeks: the call that activates one fails, and so does each until it is active.

docs.aws.amazon.com/lambda/latest/dg/functions-states.html. The state machines know the same errors.
"""

from __future__ import annotations

from botocore.exceptions import ClientError

from gaitway.contracts.limits import WAKING_ERRORS


def is_waking(error: ClientError) -> bool:
    """Return whether the same call will succeed once the function is active, in a minute or so."""
    return error.response["Error"]["Code"] in WAKING_ERRORS
