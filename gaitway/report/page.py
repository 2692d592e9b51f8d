"""The page about one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gaitway.contracts.artifacts import EVENTS, MANIFEST, REPORT, ManifestEntry, Results, RunConfig
from gaitway.report import lineage, timeline
from gaitway.report.key_figures import figures
from gaitway.report.reported_run import ReportedRun
from gaitway.report.run_charts import episode_charts, gpu_charts, learning_charts, speed_chart
from gaitway.report.template import fill
from gaitway.report.videos import videos


def render(
    results: Results, config: RunConfig | None, files: Mapping[str, Path], listed: Sequence[ManifestEntry]
) -> str:
    """Write the page about a run: HTML that needs no other file and no network.

    Missing or damaged files are left out, and the page says so.

    Args:
        results: The run's results.
        config: The run's configuration; None if the run failed before it was written.
        files: The run's local files: path below the run's prefix, and file.
        listed: The run's files in S3, with sizes.
    """
    run = ReportedRun(results, config, files, [entry for entry in listed if entry.path not in (REPORT, MANIFEST)])
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
        phases=timeline.phase_names(run.workload.noun),
        request=lineage.request_json(config) if config else None,
        inputs=list(lineage.inputs(config)) if config else [],
        diffs=list(lineage.git_diffs(run)),
        newest_checkpoint=lineage.newest_checkpoint(run),
        folders=lineage.folders(run.listed),
    )
