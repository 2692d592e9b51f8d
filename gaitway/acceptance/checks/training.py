"""A training with each library: it ends, with the last checkpoint, an exported policy and figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gaitway.acceptance.check import Check, CheckFailedError, Effort, Findings
from gaitway.acceptance.links import execution_link, job_link
from gaitway.acceptance.trials import Trial, start, succeed, training
from gaitway.contracts.artifacts import EXPORTED, METRICS
from gaitway.formatting import number
from gaitway.libraries.simulators import supported_by

if TYPE_CHECKING:
    from gaitway.acceptance.site import Site
    from gaitway.contracts.artifacts import Manifest, Results
    from gaitway.libraries import RlLibrary

LIBRARIES = supported_by(["isaaclab-2"])
"""What an account trains with: the embedded simulator may know more."""
FIRST = "training-rsl_rl"
"""The training that other checks look at."""


def judge_training(results: Results, manifest: Manifest, iterations: int) -> str | None:
    """Say what is wrong with a training that says it succeeded; None where nothing is."""
    trained, files = results.training, {entry.path for entry in manifest.files}
    if trained is None:
        return "results.json has no figures of the training"
    if trained.iterations != iterations:
        return f"{trained.iterations} iterations were trained, and {iterations} were requested"
    missing = {trained.final_checkpoint, f"{EXPORTED}policy.pt", METRICS} - files
    if missing:
        return f"the manifest does not list {', '.join(sorted(missing))}"
    if not trained.mean_steps_per_second:
        return "no steps per second were logged"
    return None


def note_trial(site: Site, findings: Findings, trial: Trial) -> None:
    """Write down which run it was, and on what."""
    record, trained = trial.record, trial.results.training
    findings.note("run", record.run_id, execution_link(site, trial.run.execution_arn))
    if record.job_id is not None:
        findings.note("job", record.job_id, job_link(site, record.job_id))
    findings.note("machine", trial.machine)
    if trained is not None:
        findings.note("iterations", trained.iterations)
        findings.note("mean reward", number(trained.mean_reward))
        findings.note("steps per second", number(trained.mean_steps_per_second))
        findings.note("final checkpoint", trained.final_checkpoint)


def _run(library: RlLibrary) -> Callable[[Site, Findings], None]:
    def run(site: Site, findings: Findings) -> None:
        started = start(site, {"trainingConfig": training(site, rlLibrary=library)})
        trial = succeed(site, findings, started, f"training with {library}")
        note_trial(site, findings, trial)
        if problem := judge_training(trial.results, trial.manifest, site.size.iterations):
            raise CheckFailedError(f"{started.run_id}: {problem}")
        site.trials[f"training-{library}"] = trial

    return run


CHECKS = tuple(
    Check(
        name=f"training-{library}",
        title=f"Trains with {library}",
        # The first one waits for an instance, pulls the image, and compiles shaders: docs/deploy.md.
        effort=Effort(minutes=18, machine_minutes=20) if library == "rsl_rl" else Effort(minutes=5, machine_minutes=5),
        leaves="a run's files",
        run=_run(library),
        seconds_here=8,
    )
    for library in LIBRARIES
)
