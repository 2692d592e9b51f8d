"""The page about one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gaitway.contracts.artifacts import EVENTS, MANIFEST, REPORT, ManifestEntry, Results, RunConfig
from gaitway.report import lineage, timeline
from gaitway.report.figures import figures
from gaitway.report.run_charts import episode_charts, gpu_charts, learning_charts, speed_chart
from gaitway.report.subject import Subject
from gaitway.report.template import fill
from gaitway.report.videos import videos


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
    run = Subject(results, config, files, [entry for entry in listed if entry.path not in (REPORT, MANIFEST)])
    return fill(
        "report.html.jinja",
        run=run,
        figures=figures(run),
        learning=learning_charts(run),
        has_events=any(entry.path.startswith(EVENTS) for entry in run.listed),
        speed=speed_chart(run),
        gpus=gpu_charts(run.gpus),
        episode_charts=episode_charts(run),
        videos=list(videos(run)),
        timeline=timeline.timeline_of(results.history, results.ended_at) if results.history else None,
        phases=timeline.phase_names(results.mode),
        request=lineage.request_json(config) if config else None,
        inputs=list(lineage.inputs(config)) if config else [],
        diffs=list(lineage.git_diffs(run)),
        newest_checkpoint=lineage.newest_checkpoint(run),
        folders=lineage.folders(run.listed),
    )
