"""EventBridge rules whose target is a Lambda function.

MiniStack calls the function once. AWS puts the event into Lambda's queue of asynchronous calls, which tries twice more
and then sends the event to the function's destination for failures:
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html. MiniStack also has such calls, and
waits seconds between their attempts where AWS waits minutes.
"""

import json
import logging
from functools import cache

from ministack.services import eventbridge, lambda_svc

logger = logging.getLogger(__name__)


def _call_asynchronously(reference: str, payload: str) -> None:
    function, configuration, name = lambda_svc._get_func_record_for_ref(reference)
    if not function or not configuration:
        logger.warning("the function %s for an event does not exist", name)
        return
    record = lambda_svc._execution_record_for_config(function, configuration)
    lambda_svc.invoke_async_with_retry(record, json.loads(payload))


@cache
def register() -> None:
    """Call functions as Lambda does; a second call changes nothing."""
    eventbridge._dispatch_to_lambda = _call_asynchronously
