"""Secrets that can be recognised: for a test that searches for them in all places where no secret may be."""

import os
from collections.abc import Callable
from functools import cache

from ministack.core import lambda_runtime
from ministack.services import lambda_svc, sts

from gaitway.local.extensions.stepfunctions import callbacks
from gaitway.local.services import Json

VARIABLE = "GAITWAY_LOCAL_SECRET_MARK"
"""For tests only: a mark in every task token and every credential of a role, in letters and digits."""


def token_mark(mark: str) -> str:
    """Return what every task token ends with: whole groups of base64, so that it stays readable."""
    return f"{mark}Token".ljust(-(-len(f"{mark}Token") // 4) * 4, "0")


def credential_mark(mark: str) -> str:
    """Return the ending of every secret key and every session token of a role."""
    return f"{mark}Credential"


def _marked(generate: Callable[[], str], mark: str) -> Callable[[], str]:
    return lambda: f"{generate()}{credential_mark(mark)}"


def _marked_functions(credentials_of: Callable[[Json], dict[str, str]], mark: str) -> Callable[[Json], dict[str, str]]:
    """A function's credentials are created again each time that one of its processes starts."""

    def marked(configuration: Json) -> dict[str, str]:
        credentials = credentials_of(configuration)
        for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            credentials[name] += credential_mark(mark)
        sts._sessions[credentials["AWS_ACCESS_KEY_ID"]] |= {
            "SecretAccessKey": credentials["AWS_SECRET_ACCESS_KEY"],
            "SessionToken": credentials["AWS_SESSION_TOKEN"],
        }
        return credentials

    return marked


@cache
def register() -> None:
    """Mark secrets, if there is a mark; a second call changes nothing."""
    mark = os.environ.get(VARIABLE)
    if mark is None:
        return
    callbacks.token_end = token_mark(mark)
    sts._gen_secret = _marked(sts._gen_secret, mark)
    sts._gen_session_token = _marked(sts._gen_session_token, mark)
    lambda_runtime.execution_credentials = _marked_functions(lambda_runtime.execution_credentials, mark)
    lambda_svc.execution_credentials = lambda_runtime.execution_credentials
