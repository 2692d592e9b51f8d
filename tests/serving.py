"""Small HTTP servers that stand in for those of AWS, of an instance or of an agent."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers requests, and logs none."""

    def get(self) -> None:
        """Answer a GET."""
        self.answer(405)

    def put(self) -> None:
        """Answer a PUT."""
        self.answer(405)

    def do_GET(self) -> None:
        """Called by the base class."""
        self.get()

    def do_PUT(self) -> None:
        """Called by the base class."""
        self.put()

    def answer(self, status: int, text: str = "") -> None:
        """Answer a request."""
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serving(handler: type[Handler]) -> Iterator[str]:
    """Serve for as long as this is entered.

    Returns:
        The server's address, without a path.
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def answering(texts: Mapping[str, str]) -> Iterator[str]:
    """Serve fixed texts for as long as this is entered.

    Args:
        texts: By path; any other path is not found.

    Returns:
        The server's address, without a path.
    """

    class Fixed(Handler):
        def get(self) -> None:
            text = texts.get(self.path)
            self.answer(404 if text is None else 200, text or "")

    with serving(Fixed) as address:
        yield address
