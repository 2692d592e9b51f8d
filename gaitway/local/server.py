"""The emulator's process: MiniStack with our extensions, on 127.0.0.1 only.

    python -m gaitway.local.server --port 0 --state-directory .gaitway/local

State is loaded from the directory at start and saved there on SIGTERM or SIGINT. Port 0 chooses a free one, the first
time. Log lines go to standard error.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import socket
import traceback
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from gaitway.local.guard import MARKER, Guard, end_processes
from gaitway.local.record import ServerRecord
from gaitway.local.runtime import ACCOUNT_ID, HOST, REGION, Runtime

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

FUNCTIONS_AT_ONCE = 10
"""As many as a new account may run: docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html. Others are
throttled and tried again, as there; each is a process of up to 200 MiB here."""


_KEPT = {"HOME", "LANG", "LC_ALL", "LOG_LEVEL", "NO_PROXY", "PATH", "no_proxy", MARKER}


def _configure(port: int, state_directory: Path) -> None:
    """Set MiniStack's settings, which it reads from the environment while it is imported."""
    # Functions inherit all of this. A developer's own variables, AWS credentials and settings of Python among them,
    # must reach neither the emulator nor what runs in it.
    for name in [name for name in os.environ if name not in _KEPT and not name.startswith("GAITWAY_LOCAL_")]:
        del os.environ[name]
    temporary = state_directory / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    os.environ |= {
        "GATEWAY_PORT": str(port),
        "LAMBDA_ACCOUNT_CONCURRENCY": str(FUNCTIONS_AT_ONCE),
        "MINISTACK_ACCOUNT_ID": ACCOUNT_ID,
        # Policies are enforced: see gaitway/local/extensions/iam.
        "AUTH": "true",
        # "localhost" may be an IPv6 address, on which nothing listens.
        "MINISTACK_HOST": HOST,
        "MINISTACK_REGION": REGION,
        "PERSIST_STATE": "1",
        "STATE_DIR": str(state_directory / "services"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(state_directory / "s3"),
        "TMPDIR": str(temporary),
        # Both would listen on every interface.
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "INFO"),
    }


def _listen(port: int, last_port_file: Path) -> socket.socket:
    """Listen on the port; on 0, listen where this emulator did the last time if that is still free.

    The state holds addresses with the port in them, such as those of queues.
    """
    listener = None
    if port == 0 and last_port_file.exists():
        with contextlib.suppress(OSError):
            listener = socket.create_server((HOST, int(last_port_file.read_text())))
    listener = listener or socket.create_server((HOST, port))
    last_port_file.write_text(str(listener.getsockname()[1]))
    return listener


async def _serve(listener: socket.socket, runtime: Runtime, announce: Callable[[], None]) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack.app import app as ministack

    from gaitway.local import extensions

    extensions.register_all(runtime)

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (answered := extensions.answer(scope["path"])):
            await _send(answered, send)
            return
        if scope["type"] != "lifespan":
            await ministack(scope, receive, send)
            return

        async def receive_lifespan() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                # Before MiniStack saves its state, so that what is saved is at rest.
                await asyncio.to_thread(extensions.shut_down_all)
            return message

        async def send_lifespan(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                extensions.start_all()
                announce()
            await send(message)

        await ministack(scope, receive_lifespan, send_lifespan)

    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.5
    config.accesslog = None
    config.loglevel = "WARNING"
    await serve(application, config)  # type: ignore[arg-type]  # hypercorn's own scope types are narrower


async def _send(response: tuple[int, dict[str, str], bytes], send: Send) -> None:
    status, headers, body = response
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def main(arguments: list[str] | None = None) -> None:
    """Run the emulator until it is asked to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--state-directory", type=Path, required=True)
    parser.add_argument("--ready-fd", type=int, help="file descriptor to write to, and close, once requests are served")
    options = parser.parse_args(arguments)
    state_directory: Path = options.state_directory.resolve()

    state_directory.mkdir(parents=True, exist_ok=True)
    listener = _listen(options.port, state_directory / "port")
    port: int = listener.getsockname()[1]
    emulator_id = os.environ.setdefault(MARKER, uuid.uuid4().hex)
    _configure(port, state_directory)
    guard = Guard()
    runtime = Runtime(f"http://{HOST}:{port}", state_directory, guard)
    record = ServerRecord.of_this_process(emulator_id=emulator_id, endpoint_url=runtime.endpoint_url)

    def announce() -> None:
        record.write(state_directory)
        if options.ready_fd is not None:
            os.write(options.ready_fd, b"1")
            os.close(options.ready_fd)

    exit_code = 0
    try:
        asyncio.run(_serve(listener, runtime, announce))
    except BaseException:
        traceback.print_exc()
        exit_code = 1
    ServerRecord.remove(state_directory)
    end_processes(MARKER, emulator_id, spare=[guard.pid])
    guard.close()
    # State is saved and no child is left; waiting for threads that hold a long poll would only delay the stop.
    os._exit(exit_code)


if __name__ == "__main__":
    main()
