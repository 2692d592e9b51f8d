"""The page about one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from gaitway.contracts.artifacts import ManifestEntry, Results, RunConfig

_TEMPLATES = Environment(
    loader=PackageLoader("gaitway.report", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(
    results: Results, config: RunConfig | None, files: Mapping[str, Path], listed: Sequence[ManifestEntry]
) -> str:
    """Write the page about a run: HTML that needs no other file and no network.

    Whatever is missing or broken among the files is left out, and the page says so.

    Args:
        results: What came of the run.
        config: What was asked for; None where the run failed before that was written down.
        files: The run's files that are here: place below the run's prefix, and file.
        listed: What S3 holds of the run, with sizes.
    """
    return _TEMPLATES.get_template("report.html.jinja").render(results=results, config=config, listed=listed)
