"""A copy of what this node says, on the file system: from there the cluster's agent takes it to CloudWatch Logs.

Kubernetes keeps the output of a pod for as long as the pod, on its node. Slurm writes such a file itself.
"""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from gaitway.compute.eks.manifests import NODE_LOGS


@contextmanager
def copied_output(variables: Mapping[str, str]) -> Iterator[None]:
    """Copy standard output and standard error, if the job's environment says where to."""
    directory = variables.get(NODE_LOGS)
    if directory is None:
        yield
        return
    path = Path(directory) / f"node-{variables.get('RANK', '0')}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a", encoding="utf-8", errors="replace", buffering=1)
    except OSError as error:
        sys.stdout.write(f"there is no copy of this output: {error}\n")
        yield
        return
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_Copied(stream, file) for stream in streams)
    try:
        yield
    except Exception:
        # Python says it when the copy is closed.
        with suppress(OSError):
            file.write(traceback.format_exc())
        raise
    finally:
        sys.stdout, sys.stderr = streams
        with suppress(OSError):
            file.close()


class _Copied(io.TextIOBase):
    """A stream whose text is written to a file as well; a file that cannot be written fails nothing."""

    def __init__(self, stream: TextIO, file: TextIO) -> None:
        self._stream = stream
        self._file = file

    def write(self, text: str) -> int:
        # The file system is full, or away, of which the run learns where it matters; or the job is at its end.
        with suppress(OSError, ValueError):
            self._file.write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return False
