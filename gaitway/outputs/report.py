"""Write a run's report, which is for people: what it cannot tell costs no run its results."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from gaitway.contracts.artifacts import CONFIG_FILES, ManifestEntry, Results, RunConfig

logger = logging.getLogger(__name__)


def write_report(
    path: Path, directory: Path, results: Results, files: Mapping[str, Path], listed: Sequence[ManifestEntry]
) -> bool:
    """Write the page about a run; False where that fails, which is logged.

    Args:
        path: Where it goes.
        directory: The run's directory.
        results: What came of the run.
        files: Its files: place below the run's prefix, and file.
        listed: What S3 holds of it.
    """
    try:
        # Templates take a moment to load, in which the simulator can start already.
        from gaitway.report import render

        config_path = directory / CONFIG_FILES[results.mode]
        config = RunConfig.model_validate_json(config_path.read_bytes()) if config_path.is_file() else None
        draft = path.with_name(f".{path.name}.draft")
        draft.write_text(render(results, config, files, listed), encoding="utf-8")
        draft.replace(path)
    except Exception:
        logger.exception("%s could not be written", path.name)
        return False
    return True
