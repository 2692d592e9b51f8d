"""What the extensions know about the emulator in which they run."""

from dataclasses import dataclass
from pathlib import Path

from gaitway.local.guard import Guard

HOST = "127.0.0.1"

REGION = "us-east-1"

ACCOUNT_ID = "000000000000"


def image_name(simulator: str) -> str:
    """Name the image of a simulator, in the settings of the deployment and in Batch."""
    return f"gaitway/{simulator}:local"


@dataclass(frozen=True)
class Runtime:
    """One running emulator."""

    endpoint_url: str
    state_directory: Path
    guard: Guard
    """Ends the processes that the emulator started, when the emulator ends without doing so itself."""

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1."""
        return int(self.endpoint_url.rsplit(":", 1)[1])
