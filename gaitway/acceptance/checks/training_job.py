"""A training on SageMaker, in a deployment whose setting `backends` has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaitway.acceptance.check import Check, CheckFailedError, Effort, Findings
from gaitway.acceptance.checks.training import judge_training, note_trial
from gaitway.acceptance.trials import start, succeed, training

if TYPE_CHECKING:
    from gaitway.acceptance.site import Site


def _run(site: Site, findings: Findings) -> None:
    compute = {"backend": "sagemaker"}
    started = start(site, {"trainingConfig": training(site), "computeConfig": compute})
    trial = succeed(site, findings, started, "training on SageMaker")
    note_trial(site, findings, trial)
    if problem := judge_training(trial.results, trial.manifest, site.size.iterations):
        raise CheckFailedError(f"{started.run_id}: {problem}")


CHECK = Check(
    name="sagemaker",
    title="Trains on SageMaker",
    # Each training job waits for an instance and pulls the image.
    effort=Effort(minutes=25, machine_minutes=22),
    leaves="a run's files, and the record of its training job in SageMaker",
    run=_run,
    seconds_here=10,
    # Most deployments have no such back end.
    only_by_name=True,
)
