"""What a running emulator writes about itself into its state directory."""

import os
from pathlib import Path
from typing import Self

import psutil
from pydantic import ValidationError

from gaitway.contracts.model import Model
from gaitway.version import digest_of

_FILE_NAME = "server.json"
_SOURCES = ("gaitway/local", "requirements.txt")
"""What an emulator is made of."""


class ServerRecord(Model):
    """One emulator process, distinguishable from a later one with the same process id."""

    process_id: int
    create_time: float
    """When the process started, in seconds since the epoch, as the operating system gives it."""
    emulator_id: str
    """Value of the marker in the environment of every process of this emulator."""
    endpoint_url: str
    sources: str = ""
    """Digest of what it was started from."""

    @classmethod
    def of_this_process(cls, *, emulator_id: str, endpoint_url: str) -> Self:
        """Describe the calling process."""
        return cls(
            process_id=os.getpid(),
            create_time=psutil.Process().create_time(),
            emulator_id=emulator_id,
            endpoint_url=endpoint_url,
            sources=digest_of(_SOURCES),
        )

    @property
    def is_current(self) -> bool:
        """Whether it was started from the present sources."""
        return self.sources == digest_of(_SOURCES)

    @classmethod
    def read(cls, state_directory: Path) -> Self | None:
        """Return the record, or None where there is none that can be read."""
        try:
            return cls.model_validate_json((state_directory / _FILE_NAME).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    @staticmethod
    def remove(state_directory: Path) -> None:
        """Forget the record."""
        (state_directory / _FILE_NAME).unlink(missing_ok=True)

    def write(self, state_directory: Path) -> None:
        """Write the record in one step: a reader sees all of it, or the one before."""
        draft = state_directory / f"{_FILE_NAME}.draft"
        draft.write_text(self.model_dump_json())
        draft.replace(state_directory / _FILE_NAME)

    def process(self) -> psutil.Process | None:
        """Return the process if it still runs, and is not another one with the same id."""
        try:
            process = psutil.Process(self.process_id)
            same = abs(process.create_time() - self.create_time) < 1.0
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None
