"""The documents that a deployment would submit for a request's job, without submitting them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gaitway.compute.backends import documents_of
from gaitway.compute.jobs import JobRequest
from gaitway.contracts.run import RunExecution
from gaitway.workloads import workload_of
from gaitway.workloads.simulators import choose_simulator

if TYPE_CHECKING:
    import boto3

    from gaitway.contracts.request import Request
    from gaitway.names import Names

EXAMPLE_RUN = f"run-{'0' * 20}"
"""A run's id comes from where its outputs go, which is known when it is started."""
_EXAMPLE_EXECUTION = RunExecution(f"{EXAMPLE_RUN}-{'0' * 12}")


def generate_documents(request: Request, session: boto3.Session, names: Names) -> dict[str, str]:
    """Write what submit_job would send for a run with this request, by file name.

    Args:
        request: The request; its back end decides which documents there are.
        session: Where the client comes from.
        names: Names of the deployment's parts.

    Raises:
        RequestError: The job does not fit what is deployed, or its back end or simulator is not deployed.
    """
    # What the functions themselves read: so the documents are those that would be sent.
    client: Any = session.client  # the stubs know services by literal name only

    def variables(verb: str) -> dict[str, str]:
        configuration = client("lambda").get_function_configuration(FunctionName=names.function(verb))
        read: dict[str, str] = configuration["Environment"]["Variables"]
        return read

    deployed = tuple(json.loads(variables("launch")["GAITWAY_SIMULATORS"]))
    job = JobRequest(
        name=_EXAMPLE_EXECUTION.job_name,
        run_id=EXAMPLE_RUN,
        simulator=choose_simulator(request.training_config, deployed).simulator,
        compute=request.compute_config,
        timeout_seconds=workload_of(request.training_config).job_seconds,
        task=request.training_config.task,
        group_id=request.group_id,
    )
    return documents_of(job, client, variables("submit_job"))
