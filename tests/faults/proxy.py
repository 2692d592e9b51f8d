"""A proxy between our processes and the embedded AWS, which injects faults by rules.

Jobs and functions use its addresses instead of the emulator's, one for each kind of caller. A request that no rule
matches passes unchanged.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from gaitway.local.runtime import HOST
from tests.faults.calls import Call, Names, call_of

_UPSTREAM_TIMEOUT_SECONDS = 120.0
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "expect"})
_CLOSING_CALLS = frozenset({"SendTaskSuccess", "SendTaskFailure"})


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Exchange:
    """One request on its way to the emulator.

    Args:
        call: What it requests.
        port: The client's port.
        body: Its body.
        forward: Sends it to the emulator.
    """

    def __init__(self, call: Call, port: int, body: bytes, forward: Callable[[bytes], Answer]) -> None:
        self.call = call
        self.port = port
        self.body = body
        """The body that is passed on."""
        self._forward = forward

    def forward(self) -> Answer:
        """Let the emulator answer it."""
        return self._forward(self.body)


Action = Callable[[Exchange], Answer | None]
"""Answers a request; None cuts the connection."""


@dataclass(eq=False)
class Rule:
    """An action on the requests that match."""

    action: Action
    run_id: str | None = None
    """The run of the requests; any run, when None."""
    source: str | None = None
    """The source of the requests; any source, when None."""
    operations: tuple[str, ...] = ()
    """`service:Operation`, or `service:*`; all, when empty."""
    key: str = ""
    """Text that the object's key or the body contains."""
    skip: int = 0
    """How many matching requests pass first."""
    times: int | None = None
    """How many requests it acts on; all, when None."""
    seconds: float | None = None
    """For how long it acts, from the first request on."""
    hit: threading.Event = field(default_factory=threading.Event)
    """Set by the first request that it acts on."""
    first_at: float | None = None
    """Time of that request, in seconds since the epoch."""
    count: int = 0
    """How many requests it has acted on."""

    def takes(self, call: Call) -> bool:
        """Return whether the rule acts on a call, and count it; the proxy calls this from one thread at a time."""
        if not self._matches(call):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        now = time.time()
        if self.first_at is not None and self.seconds is not None and now - self.first_at > self.seconds:
            return False
        if self.times is not None and self.count >= self.times:
            return False
        self.first_at = self.first_at or now
        self.count += 1
        self.hit.set()
        return True

    def _matches(self, call: Call) -> bool:
        return (
            (self.run_id is None or call.run_id == self.run_id)
            and (self.source is None or call.source == self.source)
            and (not self.operations or call.name in self.operations or f"{call.service}:*" in self.operations)
            and self.key in call.key
        )


@dataclass(frozen=True)
class Ended:
    """A task token that was ended, as the emulator confirmed."""

    at: float
    """In seconds since the epoch."""
    call: Call


class Proxy:
    """Listens for each kind of caller on a port of its own.

    Args:
        upstream: Returns the emulator's current address.
    """

    def __init__(self, upstream: Callable[[], str]) -> None:
        self.names = Names()
        self._upstream = upstream
        self._rules: list[Rule] = []
        self._ended: list[Ended] = []
        self._lock = threading.Lock()
        self._servers: dict[str, ThreadingHTTPServer] = {}
        self.calls = 0

    def address(self, source: str) -> str:
        """Return the address for this kind of caller."""
        if source not in self._servers:
            server = _Server((HOST, 0), _handler(self, source))
            self._servers[source] = server
            threading.Thread(target=server.serve_forever, name=f"proxy-{source}", daemon=True).start()
        return f"http://{HOST}:{self._servers[source].server_address[1]}"

    def add(self, rule: Rule) -> Rule:
        """Apply a rule from now on; the oldest rule that takes a call decides."""
        with self._lock:
            self._rules.append(rule)
        return rule

    def remove(self, rule: Rule) -> None:
        """Stop applying a rule."""
        with self._lock, suppress(ValueError):
            self._rules.remove(rule)

    def ended_tokens(self, run_id: str) -> list[Ended]:
        """List the tokens of a run that were ended, in that order."""
        with self._lock:
            return [ended for ended in self._ended if ended.call.run_id == run_id]

    def close(self) -> None:
        """Stop listening."""
        for server in self._servers.values():
            server.shutdown()
            server.server_close()

    def answer(
        self, source: str, port: int, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> Answer | None:
        """Answer a request; None cuts the connection."""
        names = {name.lower(): value for name, value in headers.items()}
        call = call_of(source, method, target, names, body, self.names)
        exchange = Exchange(call, port, body, lambda sent: self._forward(call, method, target, headers, sent))
        with self._lock:
            self.calls += 1
            rule = next((rule for rule in self._rules if rule.takes(call)), None)
        return rule.action(exchange) if rule else exchange.forward()

    def _forward(self, call: Call, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        url = urlsplit(self._upstream())
        connection = http.client.HTTPConnection(url.hostname or HOST, url.port, timeout=_UPSTREAM_TIMEOUT_SECONDS)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            kept = {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
            kept = {name: value for name, value in kept.items() if name.lower() != "content-length"}
            for name, value in kept.items():
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            answer = Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()
        self._note(call, answer)
        return answer

    def _note(self, call: Call, answer: Answer) -> None:
        if call.service == "states" and call.operation in _CLOSING_CALLS and answer.status == 200:
            with self._lock:
                self._ended.append(Ended(time.time(), call))
        if call.name in ("batch:submitjob", "batch:submitservicejob") and answer.status == 200 and call.run_id:
            self.names.note(json.loads(answer.body)["jobId"], call.run_id)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the error: this campaign kills clients in the middle of a request."""


def _handler(proxy: Proxy, source: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def _answer(self) -> None:
            body = _read_body(self)
            try:
                headers = dict(self.headers.items())
                answer = proxy.answer(source, self.client_address[1], self.command, self.path, headers, body)
            except OSError:
                # If the emulator does not answer, the proxy does not either.
                answer = None
            if answer is None:
                _cut(self)
                return
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in _HOP_BY_HOP and (name.lower() != "content-length" or self.command == "HEAD"):
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - the base class looks for these

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    return Handler


def _read_body(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    body = b""
    while size := int(handler.rfile.readline().partition(b";")[0], 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return body


def _cut(handler: BaseHTTPRequestHandler) -> None:
    """Reset the connection, as if the machine was lost."""
    handler.close_connection = True
    with suppress(OSError):
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
