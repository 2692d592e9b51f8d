"""An HTTP server that stands for NVIDIA's bucket: a folder, and what S3 answers for what is not in it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


@dataclass
class FileServer:
    """What is served, what was asked for, and what goes wrong first."""

    folder: Path
    address: str = ""
    asked: list[str] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    """Answers to the next requests, whatever they ask for."""
    short_answers: int = 0
    """So many of the next answers break off."""


@contextmanager
def serving(folder: Path) -> Iterator[FileServer]:
    server = FileServer(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = unquote(self.path).lstrip("/")
            server.asked.append(name)
            path = folder / name
            # A bucket that may not be listed: 403, not 404.
            code = server.codes.pop(0) if server.codes else (200 if path.is_file() else 403)
            data = path.read_bytes() if code == 200 else b""
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if server.short_answers:
                server.short_answers -= 1
                data = data[:-1]
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.address = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
