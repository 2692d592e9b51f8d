"""Start and stop the emulator as a separate process."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import psutil

from gaitway.installation import REPOSITORY_ROOT
from gaitway.local.guard import MARKER, end_processes
from gaitway.local.record import ServerRecord
from gaitway.local.runtime import HOST

_STOP_TIMEOUT_SECONDS = 60.0
"""It saves its state, which takes a second or two on a machine that has nothing else to do."""

LOG_FILE_NAME = "emulator.log"


# Popen objects of emulators that outlive the call that started them; an object dropped early warns about its process.
_started: list[subprocess.Popen[bytes]] = []


class ServerStartError(Exception):
    """The emulator ended before it was ready; the message holds the end of its log."""


def running_server(state_directory: Path) -> ServerRecord | None:
    """Return the emulator that runs with this state directory."""
    record = ServerRecord.read(state_directory)
    return record if record and record.process() else None


def start_server(state_directory: Path) -> ServerRecord:
    """Start the emulator detached from this terminal, on a free port, and wait until it answers.

    Raises:
        ServerStartError: It ended before it was ready.
    """
    bypass_proxies()
    sweep(state_directory)
    state_directory.mkdir(parents=True, exist_ok=True)
    log_path = state_directory / LOG_FILE_NAME
    ready, announce = os.pipe()
    with log_path.open("ab") as log:
        log_start = log.tell()
        process = subprocess.Popen(
            [
                sys.executable, "-m", "gaitway.local.server",
                "--state-directory", str(state_directory), "--ready-fd", str(announce),
            ],
            cwd=REPOSITORY_ROOT,
            env=os.environ | {MARKER: uuid.uuid4().hex},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[announce],
            start_new_session=True,
        )  # fmt: skip
    _started.append(process)
    os.close(announce)
    try:
        with os.fdopen(ready, "rb") as ready_pipe:
            # Blocks until the emulator says that it serves, or is gone.
            ready_pipe.read(1)
    except BaseException:
        process.kill()
        process.wait()
        sweep(state_directory)
        raise
    record = ServerRecord.read(state_directory)
    if record is None or record.process_id != process.pid:
        process.kill()
        process.wait()
        raise ServerStartError(_tail(log_path, log_start))
    return record


def bypass_proxies() -> None:
    """Bypass proxies of this network between the emulator and this process, or its children."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host and host != HOST]
        os.environ[name] = ",".join([*hosts, HOST])


def stop_server(state_directory: Path) -> bool:
    """Stop the emulator, which saves its state first, and everything that it started.

    Returns:
        Whether one ran.
    """
    record = running_server(state_directory)
    process = record and record.process()
    if process:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_TIMEOUT_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait()
    _started[:] = [started for started in _started if started.poll() is None]
    sweep(state_directory)
    return process is not None


def sweep(state_directory: Path) -> None:
    """End processes that an emulator that no longer runs may have left."""
    record = ServerRecord.read(state_directory)
    if record and not record.process():
        end_processes(MARKER, record.emulator_id)
        ServerRecord.remove(state_directory)


def _tail(path: Path, start: int) -> str:
    with path.open("rb") as log:
        log.seek(start)
        return log.read()[-4000:].decode(errors="replace")
