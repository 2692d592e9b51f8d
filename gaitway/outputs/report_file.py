"""Write a run's report for people; an error in it never fails the run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from gaitway.contracts.artifacts import ManifestEntry, Results, RunConfig
from gaitway.workloads import workload_of

logger = logging.getLogger(__name__)


def write_report(
    path: Path, directory: Path, results: Results, files: Mapping[str, Path], listed: Sequence[ManifestEntry]
) -> bool:
    """Write the page about a run; False if that fails, which is logged.

    Args:
        path: Where to write it.
        directory: The run's directory.
        results: The run's results.
        files: Its files: path below the run's prefix, and file.
        listed: The run's files in S3.
    """
    try:
        # Templates take a moment to load, in which the simulator can start already.
        from gaitway.report import render

        config_path = directory / workload_of(results.mode).config_file
        config = RunConfig.read(config_path.read_bytes()) if config_path.is_file() else None
        draft = path.with_name(f".{path.name}.draft")
        draft.write_text(render(results, config, files, listed), encoding="utf-8")
        draft.replace(path)
    except Exception:
        logger.exception("%s could not be written", path.name)
        return False
    return True
