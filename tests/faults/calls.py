"""What a request to AWS is: service, operation, and the run that it belongs to."""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

_CREDENTIAL_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/(?P<service>[^/]+)/aws4_request")
_RUN_ID = re.compile(r"run-[0-9a-f]{20}")
_JSON_SERVICES = {"DynamoDB_20120810": "dynamodb", "AWSStepFunctions": "states"}
_S3_OPERATIONS = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
_S3_PARTS = {"POST": {"uploads": "CreateMultipartUpload", "uploadId": "CompleteMultipartUpload"}}


@dataclass(frozen=True)
class Call:
    """One request, as the proxy sees it."""

    source: str
    """The source: `job`, or the folder of a function."""
    service: str
    """As in IAM's actions: `s3`, `dynamodb`, `states`, `batch`, `sts`."""
    operation: str
    run_id: str | None
    """None if the request does not show it."""
    key: str
    """Its subject besides the run: an object's key, or the body's text."""
    token: str | None
    """The task token that it answers."""

    @property
    def name(self) -> str:
        """The name of the action in IAM."""
        return f"{self.service}:{self.operation}"


class Names:
    """Identifies runs by the names of their executions and jobs."""

    def __init__(self) -> None:
        self._runs: dict[str, str] = {}
        self._lock = threading.Lock()

    def note(self, name: str, run_id: str) -> None:
        """Note that this name belongs to a run."""
        with self._lock:
            self._runs[name] = run_id

    def run_of(self, text: str) -> str | None:
        """Find the run that a text names."""
        if match := _RUN_ID.search(text):
            return match[0]
        with self._lock:
            return next((run_id for name, run_id in self._runs.items() if name in text), None)


def call_of(source: str, method: str, target: str, headers: dict[str, str], body: bytes, names: Names) -> Call:
    """Read a request.

    Args:
        source: Who sends it.
        method: HTTP method.
        target: Path and query.
        headers: With names in lower case.
        body: Its body.
        names: Identifies runs.
    """
    url = urlsplit(target)
    path, query = unquote(url.path), parse_qs(url.query, keep_blank_values=True)
    scope = _CREDENTIAL_SCOPE.search(headers.get("authorization", ""))
    service = scope["service"] if scope else ""
    if service == "s3":
        parts = _S3_PARTS.get(method, {})
        operation = next((parts[name] for name in query if name in parts), _S3_OPERATIONS.get(method, method))
        if method == "GET" and "list-type" in query:
            operation, path = "ListObjectsV2", path + "/" + query.get("prefix", [""])[0]
        return Call(source, "s3", operation, names.run_of(path), path, None)
    text = body.decode(errors="replace")
    if amz_target := headers.get("x-amz-target"):
        prefix, _, operation = amz_target.partition(".")
        token = _token_of(text) if prefix == "AWSStepFunctions" else None
        run_id = names.run_of(f"{text} {_decoded(token)}" if token else text)
        return Call(source, _JSON_SERVICES.get(prefix, service), operation, run_id, text, token)
    if service == "batch":
        # /v1/describejobs: the last part names the operation, without capitals.
        return Call(source, service, path.rpartition("/")[2], names.run_of(text), text, None)
    operation = parse_qs(text).get("Action", [path])[0]
    return Call(source, service, operation, names.run_of(unquote(text)), text, None)


def _token_of(body: str) -> str | None:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    token = document.get("taskToken") if isinstance(document, dict) else None
    return token if isinstance(token, str) else None


def _decoded(token: str) -> str:
    """Read the execution's name out of a token: the embedded AWS, unlike AWS, writes it there."""
    try:
        return base64.b64decode(token, validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        return ""
