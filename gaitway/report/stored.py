"""A run whose files were fetched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from gaitway.contracts.artifacts import RESULTS, ManifestEntry, Results, RunConfig
from gaitway.contracts.errors import ArtifactError
from gaitway.report.reported_run import ReportedRun
from gaitway.workloads import workload_of


def read_run(directory: Path, listed: Sequence[ManifestEntry]) -> ReportedRun:
    """Read a run from a directory that has the layout of its outputs.

    Args:
        directory: The directory with its files, or some of them.
        listed: The run's files in S3.

    Raises:
        ArtifactError: Its results are not in the format that this version writes.
        OSError: They cannot be read.
    """
    path = directory / RESULTS
    try:
        results = Results.read(path.read_bytes())
    except ValidationError as error:
        raise ArtifactError(
            f"{path} is not what this version of Gaitway writes: compare with the version that ran it"
        ) from error
    files = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}
    return ReportedRun(results, _config(directory / workload_of(results.mode).config_file), files, listed)


def _config(path: Path) -> RunConfig | None:
    try:
        return RunConfig.read(path.read_bytes())
    except (OSError, ValidationError):
        return None
