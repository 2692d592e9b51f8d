"""The faults of an answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import psutil

from tests.faults.calls import Call
from tests.faults.proxy import Action, Answer, Exchange

_THROTTLES = {
    "dynamodb": ("ProvisionedThroughputExceededException", 400),
    "s3": ("SlowDown", 503),
    "states": ("ThrottlingException", 400),
    "batch": ("TooManyRequestsException", 429),
    "sqs": ("RequestThrottled", 400),
    "sts": ("Throttling", 400),
}


def error(code: str, status: int, message: str = "injected by the fault campaign") -> Action:
    """Refuse a request; it has no effect."""
    return lambda exchange: error_answer(exchange.call, code, status, message)


def internal_error(exchange: Exchange) -> Answer | None:
    """Fail as an AWS service with an internal error; the request has no effect."""
    code = "InternalError" if exchange.call.service == "s3" else "InternalServerError"
    return error_answer(exchange.call, code, 500, "We encountered an internal error. Please try again.")


def throttle(exchange: Exchange) -> Answer | None:
    """Refuse with the service's own error for too many requests."""
    code, status = _THROTTLES[exchange.call.service]
    return error_answer(exchange.call, code, status, "Rate exceeded")


def deny(exchange: Exchange) -> Answer | None:
    """Refuse because of a missing permission."""
    code = "AccessDenied" if exchange.call.service == "s3" else "AccessDeniedException"
    return error_answer(exchange.call, code, 403 if exchange.call.service == "s3" else 400, "not authorized")


def skewed(exchange: Exchange) -> Answer | None:
    """Refuse a signature whose time is off by more than five minutes."""
    if exchange.call.service == "s3":
        return error_answer(exchange.call, "RequestTimeTooSkewed", 403, "The difference between times is too large.")
    return error_answer(exchange.call, "InvalidSignatureException", 400, "Signature expired")


def cut(exchange: Exchange) -> Answer | None:
    """Pass nothing on, and do not answer."""
    del exchange
    return None


def cut_after(exchange: Exchange) -> Answer | None:
    """Let the request have its effect, and lose the answer."""
    exchange.forward()
    return None


def hold(seconds: float) -> Action:
    """Answer nothing for a while, then cut the connection: the request has no effect."""

    def act(_: Exchange) -> Answer | None:
        time.sleep(seconds)
        return None

    return act


def late(seconds: float) -> Action:
    """Let the request have its effect late, when the client no longer waits for the answer."""

    def act(exchange: Exchange) -> Answer | None:
        time.sleep(seconds)
        exchange.forward()
        return None

    return act


def before(do: Callable[[], object]) -> Action:
    """Do something, then let the request pass."""

    def act(exchange: Exchange) -> Answer | None:
        do()
        return exchange.forward()

    return act


def after(do: Callable[[], object]) -> Action:
    """Let the request have its effect, do something, and then answer."""

    def act(exchange: Exchange) -> Answer | None:
        answer = exchange.forward()
        do()
        return answer

    return act


def kill_asker(exchange: Exchange) -> Answer | None:
    """Kill the client; the request has no effect."""
    _kill(exchange.port)
    return None


def kill_asker_after(exchange: Exchange) -> Answer | None:
    """Let the request have its effect, and kill the client before the answer arrives."""
    exchange.forward()
    _kill(exchange.port)
    return None


def keep(kept: list[Exchange]) -> Action:
    """Let the request pass, and keep it, so that it can be sent again."""

    def act(exchange: Exchange) -> Answer | None:
        kept.append(exchange)
        return exchange.forward()

    return act


def _kill(port: int) -> None:
    """Kill the process at the other end of a connection: a job, or the process of a function."""
    for connection in psutil.net_connections("tcp4"):
        if connection.laddr and connection.laddr.port == port and connection.pid:
            psutil.Process(connection.pid).kill()


def error_answer(call: Call, code: str, status: int, message: str) -> Answer:
    """Write an error in the service's protocol."""
    if call.service == "s3":
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        return Answer(status, {"Content-Type": "application/xml"}, body.encode())
    if call.service == "sts":
        body = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        return Answer(status, {"Content-Type": "text/xml"}, body.encode())
    document = json.dumps({"__type": code, "message": message}).encode()
    return Answer(status, {"Content-Type": "application/x-amz-json-1.0", "x-amzn-ErrorType": code}, document)
