"""An evaluation of the trained policy, with a video."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaitway.acceptance.check import Check, CheckFailedError, Effort, Findings
from gaitway.acceptance.checks.training import FIRST, note_trial
from gaitway.acceptance.trials import start, succeed
from gaitway.contracts.artifacts import METRICS, VIDEOS
from gaitway.formatting import percent, size

if TYPE_CHECKING:
    from gaitway.acceptance.site import Site
    from gaitway.contracts.artifacts import Manifest, Results


def judge_evaluation(results: Results, manifest: Manifest, episodes: int) -> str | None:
    """Say what is wrong with an evaluation that says it succeeded; None where nothing is."""
    if results.evaluation is None:
        return "results.json has no figures of the evaluation"
    if results.evaluation.episodes < episodes:
        return f"{results.evaluation.episodes} episodes were played, and {episodes} were requested"
    videos = [entry for entry in manifest.files if entry.path.startswith(VIDEOS) and entry.path.endswith(".mp4")]
    if not any(video.size for video in videos):
        return "a video was requested, and the manifest lists none with content"
    if METRICS not in {entry.path for entry in manifest.files}:
        return f"the manifest does not list {METRICS}"
    return None


def _run(site: Site, findings: Findings) -> None:
    trained, episodes = site.trial(FIRST), site.size.episodes
    fields: dict[str, object] = {"mode": "evaluate", "task": site.size.task, "numEpisodes": episodes, "seed": 7}
    if site.is_embedded:
        fields |= {"numEnvs": episodes, "stepsPerEpisode": 100}
    assert trained.results.training is not None
    checkpoint = trained.run.output_files / trained.results.training.final_checkpoint
    run = start(site, {"trainingConfig": fields | {"recordVideo": True}}, input_file=checkpoint)
    trial = succeed(site, findings, run, "evaluation")
    note_trial(site, findings, trial)
    findings.note("policy", checkpoint)
    for entry in trial.manifest.files:
        if entry.path.startswith(VIDEOS):
            findings.note("video", f"{entry.path}, {size(entry.size)}")
    if trial.results.evaluation is not None:
        findings.note("episodes", trial.results.evaluation.episodes)
        findings.note("success rate", percent(trial.results.evaluation.success_rate))
    if problem := judge_evaluation(trial.results, trial.manifest, episodes):
        raise CheckFailedError(f"{run.run_id}: {problem}")


CHECK = Check(
    name="evaluation",
    title="Evaluates a policy and records a video",
    effort=Effort(minutes=6, machine_minutes=6),
    leaves="a run's files",
    run=_run,
    needs=(FIRST,),
    seconds_here=8,
)
