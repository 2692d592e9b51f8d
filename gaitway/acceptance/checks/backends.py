"""A training on each further back end of the deployment, which is ended on its way, and goes on to its total.

Its job is ended through the control plane, since nobody outside can take a machine of SageMaker or of a cluster away; a
second run continues from what the first has left. So the whole way there and back is used twice, and the way to stop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gaitway.acceptance.check import Check, CheckFailedError, Effort, Findings
from gaitway.acceptance.checks.stop import end_on_its_way
from gaitway.acceptance.checks.training import note_trial
from gaitway.acceptance.trials import start, succeed, training

if TYPE_CHECKING:
    from gaitway.acceptance.site import Site
    from gaitway.contracts.artifacts import Results
    from gaitway.contracts.backends import Backend

_STOP_SECONDS = 180.0
"""SageMaker and clusters give a job 120 seconds to end, and an agent takes an order within seconds."""


def judge_continuation(results: Results, iterations: int) -> str | None:
    """Say what is wrong with a training that continues another one and says it succeeded; None where nothing is."""
    attempts = results.history.attempts if results.history else []
    if not attempts or attempts[0].resumed_from == 0:
        return "it started from the beginning: no checkpoint of the run that was ended was found"
    if results.training is None or results.training.iterations != iterations:
        done = results.training.iterations if results.training else 0
        return f"{done} iterations were trained in total, and {iterations} were requested"
    return None


def _run(backend: Backend) -> Callable[[Site, Findings], None]:
    def run(site: Site, findings: Findings) -> None:
        size, compute = site.size, {"backend": backend}
        fields = training(site, maxIterations=size.interrupted_iterations, checkpointInterval=size.checkpoint_interval)
        ended = end_on_its_way(site, findings, {"trainingConfig": fields, "computeConfig": compute}, _STOP_SECONDS)
        further = start(site, {"trainingConfig": fields | {"resumeFrom": ended.run_id}, "computeConfig": compute})
        trial = succeed(site, findings, further, f"continued on {backend}")
        note_trial(site, findings, trial)
        for attempt in trial.results.history.attempts if trial.results.history else []:
            findings.note(f"attempt {attempt.number}", f"from iteration {attempt.resumed_from}")
        if problem := judge_continuation(trial.results, size.interrupted_iterations):
            raise CheckFailedError(f"{further.run_id}: {problem}")

    return run


CHECKS = (
    Check(
        name="sagemaker",
        title="Trains on SageMaker, and goes on after its job was ended",
        # Each training job waits for an instance and pulls the image.
        effort=Effort(minutes=45, machine_minutes=40, backend="sagemaker"),
        leaves="two runs' files, and the records of their training jobs in SageMaker",
        run=_run("sagemaker"),
        seconds_here=25,
    ),
    Check(
        name="hyperpod-eks",
        title="Trains on the cluster of EKS, and goes on after its job was ended",
        effort=Effort(minutes=20, machine_minutes=18, backend="hyperpod-eks"),
        leaves="two runs' files, and the second one's PyTorchJob until Kubernetes removes it",
        run=_run("hyperpod-eks"),
        seconds_here=30,
    ),
    Check(
        name="hyperpod-slurm",
        title="Trains on the cluster with Slurm, and goes on after its job was ended",
        effort=Effort(minutes=20, machine_minutes=18, backend="hyperpod-slurm"),
        leaves="two runs' files, and the logs of their jobs among them",
        run=_run("hyperpod-slurm"),
        seconds_here=30,
    ),
)
