"""Structured logs and traces. Nothing that holds a task token is logged or traced: no event, result or exception."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext

Json = dict[str, Any]
Handler = Callable[[Json, LambdaContext], Json]

logger = Logger()
tracer = Tracer()


def observed(handler: Handler) -> Handler:
    """Log with the context of the call and its run, and trace it."""
    traced = tracer.capture_lambda_handler(handler, capture_response=False, capture_error=False)

    def noted(event: Json, context: LambdaContext) -> Json:
        match event:
            case {"run_id": str(run_id)}:
                logger.append_keys(run_id=run_id)
        logger.info("called")
        answer: Json = traced(event, context)
        return answer

    logged: Handler = logger.inject_lambda_context(noted, log_event=False, clear_state=True)
    return logged
