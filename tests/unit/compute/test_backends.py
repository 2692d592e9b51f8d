"""Which back end a request means, and what is said where a deployment does not have it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from gaitway.compute.backends import AllSubmitters, documents_of, job_of_event
from gaitway.compute.jobs import JobRequest
from gaitway.compute.sizes import JobSize, check_compute
from gaitway.contracts.errors import RequestError
from gaitway.contracts.request import ComputeConfig, parse_request
from gaitway.libraries.simulators import Simulator

SIZE = JobSize(gpus=1, vcpus=8, memory_mib=1024, max_nodes=2, instance_gpus=1)
VARIABLES = {
    "GAITWAY_JOB_QUEUES": '{"1": "gpu-1"}',
    "GAITWAY_JOB_DEFINITIONS": '{"isaaclab-3": "single-3", "isaaclab-2": "single"}',
    "GAITWAY_MULTI_NODE_JOB_QUEUES": '{"1": "multi-1"}',
    "GAITWAY_MULTI_NODE_JOB_DEFINITIONS": '{"isaaclab-3": "multi-3", "isaaclab-2": "multi"}',
    "GAITWAY_JOB_SIZES": json.dumps({1: SIZE.model_dump()}),
    "GAITWAY_JOB_TAGS": '{"GaitwayDeployment": "gaitway"}',
}


def asked(**compute: Any) -> JobRequest:
    return JobRequest("run-1", "run-0", ComputeConfig.model_validate(compute), 600)


def no_client(service: str) -> Any:
    raise AssertionError(f"{service} is called")


def test_a_request_without_a_back_end_runs_on_batch_and_one_that_is_not_known_is_refused() -> None:
    assert parse_request({"computeConfig": {"backend": ""}}).compute_config.backend == "batch"
    with pytest.raises(RequestError, match=r"computeConfig\.backend is 'ec2', allowed: 'batch', 'sagemaker'"):
        parse_request({"computeConfig": {"backend": "ec2"}})


def test_a_back_end_that_is_not_deployed_is_refused_in_words() -> None:
    compute = ComputeConfig(backend="hyperpod-slurm")
    with pytest.raises(RequestError, match="which this deployment does not have, allowed here: batch"):
        check_compute(compute, {"batch": {1: SIZE}})
    with pytest.raises(RequestError, match="which this deployment does not have"):
        AllSubmitters({}).submit(asked(backend="hyperpod-slurm"))
    with pytest.raises(RequestError, match="which this deployment does not have"):
        documents_of(asked(backend="hyperpod-slurm"), no_client, VARIABLES)


def test_each_back_end_has_sizes_of_its_own() -> None:
    sizes = {"batch": {1: SIZE}, "hyperpod-eks": {8: SIZE}}
    check_compute(ComputeConfig(backend="hyperpod-eks", gpus_per_node=8), sizes)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"gpusPerNode is 8, allowed here: 1 \(what fits the deployed instanceTypes"):
        check_compute(ComputeConfig(gpus_per_node=8), sizes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("simulator", "nodes", "definition"),
    [
        ("isaaclab-3", 1, "single-3"),
        ("isaaclab-3", 2, "multi-3"),
        ("isaaclab-2", 1, "single"),
        # Constructed by a version whose deployments had one image.
        (None, 1, "single"),
        (None, 2, "multi"),
    ],
)
def test_a_job_has_the_image_of_its_runs_simulator(simulator: Simulator | None, nodes: int, definition: str) -> None:
    job = replace(asked(num_nodes=nodes), simulator=simulator)
    (document,) = documents_of(job, no_client, VARIABLES).values()
    assert json.loads(document)["jobDefinition"] == definition


def test_a_run_whose_simulator_was_taken_away_meanwhile_is_refused_in_words() -> None:
    job = replace(asked(), simulator="embedded")
    with pytest.raises(RequestError, match="the simulator embedded, which is not deployed any more, allowed: isaac"):
        documents_of(job, no_client, VARIABLES)


def test_an_event_that_no_back_end_sends_is_refused() -> None:
    with pytest.raises(ValueError, match=r"an event 'Moon Phase Change' of 'sky', allowed: Batch Job State Change"):
        job_of_event({"source": "sky", "detail-type": "Moon Phase Change"})
