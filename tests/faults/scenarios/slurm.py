"""A node of real Slurm is lost."""

from __future__ import annotations

from gaitway.local import slurm
from tests.faults.campaign import scenario
from tests.faults.scenarios.clusters import start_on
from tests.faults.trial import Expected, Trial, succeeds


@scenario("Slurm: node lost", "simulate", alone=True, why_missing=slurm.why_missing)
def slurm_node_is_lost(trial: Trial) -> Expected:
    """Its slurmd and all that it runs are killed; Slurm notices and requeues the job, and the node comes back."""
    start_on("hyperpod-slurm", trial, pace_seconds=0.5)
    trial.wait_for_work(trial.moment())
    trial.now()
    with trial.world.slurm.lost_node(trial.job_id()) as is_requeued:
        trial.wait(is_requeued, "Slurm had requeued the job", pause=0.5)
    # From then on: Slurm's own time to notice is a setting.
    trial.now()
    return succeeds(attempts=2)
