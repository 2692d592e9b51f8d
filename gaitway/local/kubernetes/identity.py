"""The agent of EKS Pod Identity: credentials for the holder of a pod's token.

docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html. On a node it answers at 169.254.170.23, an address on
which no process of a laptop can listen.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from gaitway.local.kubernetes.access import Access
from gaitway.local.kubernetes.pods import Surroundings
from gaitway.local.kubernetes.store import ApiError
from gaitway.local.runtime import HOST

_PATH = "/v1/credentials"


class IdentityAgent(ThreadingHTTPServer):
    """The agent of all nodes."""

    daemon_threads = True

    def __init__(self, access: Access, surroundings: Surroundings) -> None:
        super().__init__((HOST, 0), _Handler)
        self.access = access
        self.surroundings = surroundings

    @property
    def url(self) -> str:
        """Where a pod asks for credentials."""
        return f"http://{HOST}:{self.server_address[1]}{_PATH}"


class _Handler(BaseHTTPRequestHandler):
    server: IdentityAgent

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        """Answer with credentials, or refuse."""
        status, answer = HTTPStatus.FORBIDDEN, b"no pod identity association"
        try:
            user = self.server.access.user_of(f"Bearer {self.headers.get('Authorization', '')}")
        except ApiError:
            status, answer = HTTPStatus.UNAUTHORIZED, b"unknown token"
        else:
            found = self.server.surroundings.credentials(user.namespace or "", user.account or "")
            if found is not None and self.path == _PATH:
                status, answer = HTTPStatus.OK, json.dumps(dict(found)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
