"""The instance metadata of a cluster's nodes: the credentials of their role.

docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html. The emulator answers at an
address of its own for each role, which AWS_EC2_METADATA_SERVICE_ENDPOINT gives to what runs on a node.
"""

from __future__ import annotations

import re

from gaitway.local.extensions.batch.ecs_agent import credentials_document
from gaitway.local.runtime import ACCOUNT_ID
from gaitway.local.services import Response, error_response, json_response, may_assume, open_role_session

_PREFIX = "/instance-metadata/"
_PATH = re.compile(rf"{_PREFIX}(?P<role>[\w+=,.@-]+)/latest/(?P<what>.+)")
_CREDENTIALS = "meta-data/iam/security-credentials/"
_SECONDS = 3600
_TRUSTED = "sagemaker.amazonaws.com"
"""The service that starts the nodes."""


def endpoint_of(endpoint_url: str, role: str) -> str:
    """Return the address of the metadata of nodes with a role."""
    return f"{endpoint_url}{_PREFIX}{role}/"


def answer(path: str) -> Response | None:
    """Answer a node's request; None where it is none."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    role, what = match["role"], match["what"]
    if what == "api/token":
        return 200, {"Content-Type": "text/plain"}, b"token"
    if what == _CREDENTIALS:
        return 200, {"Content-Type": "text/plain"}, role.encode()
    arn = f"arn:aws:iam::{ACCOUNT_ID}:role/{role}"
    if what != f"{_CREDENTIALS}{role}" or not may_assume(_TRUSTED, arn):
        return error_response("404", f"{what} of a node with the role {role}")
    document = credentials_document(arn, *open_role_session(arn, "i-embedded", _SECONDS))
    return json_response(document | {"Code": "Success", "Type": "AWS-HMAC"})
