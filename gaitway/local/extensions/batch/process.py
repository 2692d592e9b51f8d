"""One attempt of a job as a local process that begins and ends like a container."""

import contextlib
import os
import shutil
import signal
import subprocess
import threading

from gaitway.local.extensions.batch.container import ContainerStartError, LogStream, ProcessSpec
from gaitway.local.guard import Guard, end_processes
from gaitway.local.services import put_log_lines

STOP_GRACE_SECONDS = 30.0
"""Between SIGTERM and SIGKILL: docs.aws.amazon.com/batch/latest/userguide/job_timeouts.html."""

_MAX_EVENT_BYTES = 16_384
"""A longer line is split, as Docker splits it."""


class ContainerProcess:
    """A running attempt. It is its own session and process group."""

    def __init__(
        self,
        mark: tuple[str, str],
        spec: ProcessSpec,
        log_stream: LogStream,
        guard: Guard,
        grace_seconds: float = STOP_GRACE_SECONDS,
    ) -> None:
        """Start the process.

        Args:
            mark: A variable of its environment, and its value, by which the container's processes are found.
            spec: What to start.
            log_stream: Where its output goes.
            guard: Ends it with the emulator.
            grace_seconds: Between the signal to stop and the one to end.

        Raises:
            ContainerStartError: Its program does not exist or cannot be executed.
        """
        self._mark = mark
        self._grace_seconds = grace_seconds
        self._spec = spec
        self._log_stream = log_stream
        self._guard = guard
        self._lock = threading.Lock()
        self._killing = threading.RLock()
        self._kill_timer: threading.Timer | None = None
        self._has_ended = False
        try:
            self._process = subprocess.Popen(
                spec.command,
                cwd=spec.working_directory,
                env=spec.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            shutil.rmtree(spec.working_directory, ignore_errors=True)
            raise ContainerStartError(f"CannotStartContainerError: {error}") from error
        guard.watch(self._process.pid)
        self._log_thread = threading.Thread(target=self._forward_output, name=f"log-{mark[1]}", daemon=True)
        self._log_thread.start()

    def wait(self) -> int:
        """Wait for the main process, then end its remaining processes, as the end of a container does.

        Returns:
            The container's exit code: 128 + the signal where a signal ended the process.
        """
        return_code = self._process.wait()
        # The next attempt may carry the same mark: whoever searches for this one's processes has to be done before.
        with self._killing:
            self.kill()
            self._has_ended = True
        self._guard.forget(self._process.pid)
        with self._lock:
            if self._kill_timer:
                self._kill_timer.cancel()
        self._log_thread.join()
        shutil.rmtree(self._spec.working_directory, ignore_errors=True)
        return return_code if return_code >= 0 else 128 - return_code

    def stop(self) -> None:
        """Ask the main process to end, and end it after the grace period, as `docker stop` does."""
        with self._lock:
            # Later, its process id may belong to another process, and the next attempt of its job has the same job id.
            if self._has_ended or self._kill_timer:
                return
            self._kill_timer = threading.Timer(self._grace_seconds, self.kill)
            self._kill_timer.daemon = True
            self._kill_timer.start()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End every process of the container at once, also those that opened their own session."""
        with self._killing:
            if not self._has_ended:
                end_processes(*self._mark, [self._process.pid])

    def _forward_output(self) -> None:
        """Write the output to CloudWatch Logs, each time with all lines since the last write."""
        assert self._process.stdout is not None
        rest = b""
        with self._process.stdout as output:
            while chunk := os.read(output.fileno(), _MAX_EVENT_BYTES):
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) >= _MAX_EVENT_BYTES:
                    lines, rest = [*lines, rest], b""
                self._put(lines)
        self._put([rest])

    def _put(self, lines: list[bytes]) -> None:
        # CloudWatch Logs refuses empty messages.
        messages = [line.decode(errors="replace") for line in lines if line.strip()]
        if messages:
            put_log_lines(self._log_stream.group, self._log_stream.name, messages)
