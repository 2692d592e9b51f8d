"""Credentials for the pods of the embedded cluster: what EKS Pod Identity asks of its service.

docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html. The stand-in for Kubernetes, another process, asks
here; pods do not.
"""

from __future__ import annotations

import re

from gaitway.local.extensions.batch.ecs_agent import credentials_document
from gaitway.local.runtime import ACCOUNT_ID
from gaitway.local.services import Response, error_response, json_response, may_assume, open_role_session

_PREFIX = "/pod-identity/"
_PATH = re.compile(rf"{_PREFIX}(?P<role>[\w+=,.@-]+)/(?P<session>[\w+=,.@-]+)")
_SECONDS = 3600
_TRUSTED = "pods.eks.amazonaws.com"


def address_of(endpoint_url: str, role: str, session: str) -> str:
    """Return where credentials of a role are, for a session of this name."""
    return f"{endpoint_url}{_PREFIX}{role}/{session}"


def answer(path: str) -> Response | None:
    """Answer the stand-in; None where it is no request of it."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    arn = f"arn:aws:iam::{ACCOUNT_ID}:role/{match['role']}"
    if not may_assume(_TRUSTED, arn):
        return error_response("AccessDeniedException", f"{_TRUSTED} may not assume {arn}")
    return json_response(credentials_document(arn, *open_role_session(arn, match["session"], _SECONDS)))
