"""A run whose files were fetched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from gaitway.contracts.artifacts import CONFIG_FILES, RESULTS, ManifestEntry, Results, RunConfig
from gaitway.contracts.errors import ArtifactError
from gaitway.report.subject import Subject


def read_run(directory: Path, listed: Sequence[ManifestEntry]) -> Subject:
    """Read a run out of a directory that has the layout of its outputs.

    Args:
        directory: Where its files are, or some of them.
        listed: What S3 holds of it.

    Raises:
        ArtifactError: Its results are not what this version writes.
        OSError: They cannot be read.
    """
    path = directory / RESULTS
    try:
        results = Results.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ArtifactError(
            f"{path} is not what this version of Gaitway writes: compare with the version that ran it"
        ) from error
    files = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}
    return Subject(results, _config(directory / CONFIG_FILES[results.mode]), files, listed)


def _config(path: Path) -> RunConfig | None:
    try:
        return RunConfig.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
