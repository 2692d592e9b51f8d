"""How the agent's pod is found to be alive and ready: by files, at which its probes look."""

from __future__ import annotations

from pathlib import Path

from gaitway.compute.eks.agent_manifests import ALIVE, READY


class Health:
    """Touches files.

    Args:
        directory: Where they are; None where nobody looks.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory

    def alive(self) -> None:
        """Say that a step is done, well or not."""
        self._touch(ALIVE)

    def ready(self) -> None:
        """Say that a round of steps went well."""
        self._touch(READY)

    def _touch(self, name: str) -> None:
        if self._directory is not None:
            (self._directory / name).touch()
