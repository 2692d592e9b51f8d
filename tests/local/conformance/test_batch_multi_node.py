"""Multi-node parallel jobs: the nodes run side by side, and the main node's outcome is the job's."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from gaitway.local.server_process import start_server, stop_server
from tests.local.conformance.batch_world import BatchWorld, Json, batch_world
from tests.local.conformance.workflow import until
from tests.local.emulator import Emulator


@pytest.fixture(scope="module")
def world(emulator: Emulator) -> Iterator[BatchWorld]:
    """A queue with room for four vCPUs."""
    with batch_world(emulator, "multi-node", vcpus=4) as world:
        yield world


class Nodes:
    """Shell scripts for the nodes of one job, which meet in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def script(self, main: str, other: str) -> str:
        """One program for main and other nodes, as one image is."""
        return f'cd {self.directory}; if [ "$AWS_BATCH_JOB_NODE_INDEX" = 0 ]; then {main}; else {other}; fi'

    @staticmethod
    def when(*names: str) -> str:
        """Wait until files are there."""
        return "; ".join(f"while [ ! -e {name} ]; do sleep 0.02; done" for name in names)


@pytest.fixture
def nodes(tmp_path: Path) -> Nodes:
    return Nodes(tmp_path)


def node_range(script: str, target_nodes: str = "0:", vcpus: int = 1, **container: Any) -> Json:
    needs = [{"type": "VCPU", "value": str(vcpus)}, {"type": "MEMORY", "value": "512"}]
    command = ["sh", "-c", script]
    container = {"image": "gaitway/shell:local", "command": command, "resourceRequirements": needs} | container
    return {"targetNodes": target_nodes, "container": container}


def define(world: BatchWorld, *ranges: Json, num_nodes: int = 2, main_node: int = 0, **definition: Any) -> str:
    """Register a definition, and return its ARN."""
    response = world.batch.register_job_definition(
        jobDefinitionName=f"nodes-{uuid.uuid4().hex[:8]}",
        type="multinode",
        nodeProperties={"numNodes": num_nodes, "mainNode": main_node, "nodeRangeProperties": list(ranges)},
        **definition,
    )
    return str(response["jobDefinitionArn"])


def run(world: BatchWorld, script: str, **definition: Any) -> str:
    """Submit two nodes that run a script, and return the job's id."""
    return world.submit(define(world, node_range(script), **definition))


def describe(world: BatchWorld, job_id: str, count: int = 2) -> list[Json]:
    """Describe the nodes of a job."""
    jobs: list[Json] = world.batch.describe_jobs(jobs=[f"{job_id}#{index}" for index in range(count)])["jobs"]
    return jobs


def environment(world: BatchWorld, node: Json) -> dict[str, str]:
    return dict(line.split("=", 1) for line in world.log(node) if "=" in line)


def test_each_node_is_told_which_it_is_and_where_the_main_node_is(world: BatchWorld, nodes: Nodes) -> None:
    script = nodes.script(main=f"env; {nodes.when('1', '2')}", other="env; touch $AWS_BATCH_JOB_NODE_INDEX")
    job_id = world.submit(define(world, node_range(script)), nodeOverrides={"numNodes": 3})
    world.wait_for_end(job_id)
    told = [environment(world, node) for node in describe(world, job_id, 3)]

    assert [node["AWS_BATCH_JOB_ID"] for node in told] == [f"{job_id}#{index}" for index in range(3)]
    assert [node["AWS_BATCH_JOB_NODE_INDEX"] for node in told] == ["0", "1", "2"]
    assert {node["AWS_BATCH_JOB_NUM_NODES"] for node in told} == {"3"}
    assert {node["AWS_BATCH_JOB_MAIN_NODE_INDEX"] for node in told} == {"0"}
    addresses = [node.get("AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS") for node in told]
    assert addresses == [None, "127.0.0.1", "127.0.0.1"]
    assert {node["AWS_BATCH_JOB_ATTEMPT"] for node in told} == {"1"}


def test_a_node_is_described_by_its_number_and_the_job_by_its_nodes(world: BatchWorld, nodes: Nodes) -> None:
    job_id = run(world, nodes.script(main=f"echo main; {nodes.when('1')}", other="echo other; touch 1"))
    job = world.wait_for_end(job_id)
    main, other = describe(world, job_id)

    assert (job["nodeProperties"]["numNodes"], job["nodeProperties"]["mainNode"]) == (2, 0)
    assert "container" not in job
    assert main["nodeDetails"] == {"nodeIndex": 0, "isMainNode": True}
    assert other["nodeDetails"] == {"nodeIndex": 1, "isMainNode": False}
    assert [world.log(node) for node in (main, other)] == [["main"], ["other"]]
    # "information for a multi-node parallel job is populated from the main node"
    assert job["attempts"] == main["attempts"]
    assert job["attempts"][0]["container"]["logStreamName"] == main["container"]["logStreamName"]
    assert (job["startedAt"], job["statusReason"]) == (main["startedAt"], main["statusReason"])


def test_the_nodes_of_a_job_are_listed_by_its_id_and_not_among_the_queues_jobs(world: BatchWorld, nodes: Nodes) -> None:
    name = f"listed-{uuid.uuid4().hex[:8]}"
    script = nodes.script(main=nodes.when("1"), other="touch 1")
    job_id = world.submit(define(world, node_range(script)), jobName=name)
    world.wait_for_end(job_id)

    by_name = world.batch.list_jobs(jobQueue=world.job_queue, filters=[{"name": "JOB_NAME", "values": [name]}])
    assert [(job["jobId"], job["nodeProperties"]) for job in by_name["jobSummaryList"]] == [(job_id, {"numNodes": 2})]
    listed = world.batch.list_jobs(multiNodeJobId=job_id, jobStatus="SUCCEEDED")["jobSummaryList"]
    assert listed[0]["nodeProperties"] == {"isMainNode": True, "nodeIndex": 0, "numNodes": 2}
    assert world.batch.list_jobs(multiNodeJobId=job_id)["jobSummaryList"] == []


def test_the_main_node_is_launched_first(world: BatchWorld, nodes: Nodes) -> None:
    job_id = run(world, nodes.script(main=nodes.when("1"), other="touch 1"))
    world.wait_for_end(job_id)
    order = [
        (event["detail"]["jobId"].removeprefix(job_id), event["detail"]["status"])
        for event in world.events
        if event["detail"]["jobId"].startswith(job_id)
    ]
    assert order.index(("#0", "RUNNING")) < order.index(("#1", "STARTING"))
    assert order.index(("", "STARTING")) < order.index(("", "RUNNING")) < order.index(("#1", "RUNNING"))
    assert order[-1] == ("", "SUCCEEDED")


@pytest.mark.parametrize(("code", "status"), [(0, "SUCCEEDED"), (3, "FAILED")])
def test_when_the_main_node_ends_the_others_are_stopped_and_its_outcome_is_the_jobs(
    world: BatchWorld, nodes: Nodes, code: int, status: str
) -> None:
    other = "trap 'echo asked; exit 9' TERM; touch 1; while true; do sleep 0.02; done"
    job_id = run(world, nodes.script(main=f"{nodes.when('1')}; exit {code}", other=other))
    job = world.wait_for_end(job_id)

    assert (job["status"], job["attempts"][0]["container"]["exitCode"]) == (status, code)
    stopped = world.describe(f"{job_id}#1")
    assert (stopped["status"], stopped["container"]["exitCode"]) == ("FAILED", 9)
    assert world.log(stopped) == ["asked"]


def test_another_nodes_death_does_not_end_the_job(world: BatchWorld, nodes: Nodes) -> None:
    job_id = run(world, nodes.script(main=nodes.when("go"), other="exit 5"), retryStrategy={"attempts": 3})
    world.wait_for(f"{job_id}#1", "FAILED")
    assert world.describe(job_id)["status"] == "RUNNING"

    (nodes.directory / "go").touch()
    job = world.wait_for_end(job_id)
    assert (job["status"], len(job["attempts"])) == ("SUCCEEDED", 1)
    assert world.describe(f"{job_id}#1")["container"]["exitCode"] == 5


def test_a_killed_process_of_another_node_is_that_nodes_failure_only(world: BatchWorld, nodes: Nodes) -> None:
    job_id = run(world, nodes.script(main=nodes.when("go"), other="echo $$ > pid; mv pid 1; exec sleep 60"))
    until((nodes.directory / "1").exists)
    psutil.Process(int((nodes.directory / "1").read_text())).kill()
    world.wait_for(f"{job_id}#1", "FAILED")
    assert world.describe(f"{job_id}#1")["container"]["exitCode"] == 137

    (nodes.directory / "go").touch()
    assert world.wait_for_end(job_id)["status"] == "SUCCEEDED"


def test_all_nodes_are_tried_again_when_the_main_node_fails(world: BatchWorld, nodes: Nodes) -> None:
    number = "$AWS_BATCH_JOB_ATTEMPT"
    script = nodes.script(
        main=f"{nodes.when(f'other-{number}')}; test {number} = 2", other=f"touch other-{number}; exec sleep 60"
    )
    job_id = run(world, script, retryStrategy={"attempts": 3})
    job = world.wait_for_end(job_id)

    assert job["status"] == "SUCCEEDED"
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [1, 0]
    streams = [
        attempt["container"]["logStreamName"] for node in describe(world, job_id) for attempt in node["attempts"]
    ]
    assert len(set(streams)) == 4


def test_a_terminated_job_ends_all_its_nodes(world: BatchWorld, nodes: Nodes) -> None:
    job_id = run(world, "exec sleep 60", retryStrategy={"attempts": 3})
    for index in range(2):
        world.wait_for(f"{job_id}#{index}", "RUNNING")
    world.batch.terminate_job(jobId=job_id, reason="changed my mind")
    job = world.wait_for_end(job_id)

    assert (job["status"], job["statusReason"], len(job["attempts"])) == ("FAILED", "changed my mind", 1)
    assert job["isTerminated"]
    assert [node["container"]["exitCode"] for node in describe(world, job_id)] == [143, 143]


def test_the_timeout_is_the_whole_jobs(world: BatchWorld) -> None:
    job_id = run(world, "exec sleep 60", timeout={"attemptDurationSeconds": 1}, retryStrategy={"attempts": 3})
    job = world.wait_for_end(job_id)
    assert (job["status"], job["statusReason"]) == ("FAILED", "Job attempt duration exceeded timeout")
    assert [node["status"] for node in describe(world, job_id)] == ["FAILED", "FAILED"]


def test_nodes_are_placed_together_or_not_at_all(world: BatchWorld, nodes: Nodes) -> None:
    busy = world.run("exec sleep 60")
    world.wait_for(busy, "RUNNING")
    script = nodes.script(main=nodes.when("1"), other="touch 1")
    job_id = world.submit(define(world, node_range(script, vcpus=2)))
    assert [job["status"] for job in (world.describe(job_id), *describe(world, job_id))] == ["RUNNABLE"] * 3

    world.batch.terminate_job(jobId=busy, reason="make room")
    assert world.wait_for_end(job_id)["status"] == "SUCCEEDED"


def test_a_cancelled_job_starts_no_node(world: BatchWorld) -> None:
    job_id = world.submit(define(world, node_range("true", vcpus=8)))
    world.batch.cancel_job(jobId=job_id, reason="not needed")
    assert world.wait_for_end(job_id)["statusReason"] == "not needed"
    assert [node["status"] for node in describe(world, job_id)] == ["FAILED", "FAILED"]


def test_nodes_are_never_placed_on_spot_instances(world: BatchWorld, nodes: Nodes) -> None:
    name = f"spot-{uuid.uuid4().hex[:8]}"
    resources = {"type": "SPOT", "maxvCpus": 8, "subnets": [], "instanceTypes": ["g6"], "minvCpus": 0}
    world.batch.create_compute_environment(computeEnvironmentName=name, type="MANAGED", computeResources=resources)
    queue = world.batch.create_job_queue(
        jobQueueName=name,
        priority=1,
        computeEnvironmentOrder=[
            {"order": 1, "computeEnvironment": name},
            {"order": 2, "computeEnvironment": world.compute_environment},
        ],
    )["jobQueueArn"]
    script = nodes.script(main=f"env; {nodes.when('1')}", other="env; touch 1")
    definition = define(world, node_range(script))
    job_id = world.batch.submit_job(jobName="job", jobQueue=queue, jobDefinition=definition)["jobId"]
    until(lambda: world.describe(job_id)["status"] == "SUCCEEDED")
    placed = {environment(world, node)["AWS_BATCH_CE_NAME"] for node in describe(world, job_id)}
    assert placed == {world.compute_environment}


def test_ranges_and_overrides_say_what_each_node_runs(world: BatchWorld, nodes: Nodes) -> None:
    variables = [{"name": "WORD", "value": "defined"}]
    definition = define(
        world,
        node_range(f'cd {nodes.directory}; echo "$WORD"; {nodes.when("1")}', "0:0", environment=variables),
        node_range(f'cd {nodes.directory}; echo "$WORD"; touch 1', "1:", environment=variables),
    )
    job_id = world.submit(
        definition,
        nodeOverrides={
            "nodePropertyOverrides": [
                {
                    "targetNodes": "1:",
                    "containerOverrides": {
                        "environment": [{"name": "WORD", "value": "overridden"}],
                        "resourceRequirements": [{"type": "VCPU", "value": "2"}],
                    },
                }
            ]
        },
    )
    world.wait_for_end(job_id)
    main, other = describe(world, job_id)
    assert [world.log(node) for node in (main, other)] == [["defined"], ["overridden"]]
    assert {"type": "VCPU", "value": "2"} in other["container"]["resourceRequirements"]


def test_parameters_replace_their_references_on_every_node(world: BatchWorld, nodes: Nodes) -> None:
    container = node_range(nodes.script(main=f'echo "$0"; {nodes.when("1")}', other='echo "$0"; touch 1'))
    container["container"]["command"].append("Ref::word")
    job_id = world.submit(define(world, container), parameters={"word": "given"})
    world.wait_for_end(job_id)
    assert [world.log(node) for node in describe(world, job_id)] == [["given"], ["given"]]


def test_what_does_not_go_together_is_refused(world: BatchWorld) -> None:
    open_ended, closed = define(world, node_range("true")), define(world, node_range("true", "0:1"))
    single = world.define(["true"])
    for definition, request, said in (
        (single, {"nodeOverrides": {"numNodes": 2}}, "nodeProperties"),
        (open_ended, {"containerOverrides": {"command": ["true"]}}, "nodeOverrides"),
        (closed, {"nodeOverrides": {"numNodes": 3}}, "open upper boundary"),
        (
            open_ended,
            {"nodeOverrides": {"nodePropertyOverrides": [{"targetNodes": "0:0"}]}},
            "Non matching targets - 0:0",
        ),
    ):
        with pytest.raises(ClientError, match=said) as refusal:
            world.submit(definition, **request)
        assert refusal.value.response["Error"]["Code"] == "ClientException"


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"numNodes": 2, "mainNode": 2, "ranges": ["0:"]}, "mainNode is 2"),
        ({"numNodes": 3, "mainNode": 0, "ranges": ["0:1"]}, "must account for all nodes"),
    ],
)
def test_a_definition_whose_nodes_do_not_add_up_is_refused(world: BatchWorld, properties: Json, said: str) -> None:
    ranges = [node_range("true", target_nodes) for target_nodes in properties["ranges"]]
    with pytest.raises(ClientError, match=said):
        define(world, *ranges, num_nodes=properties["numNodes"], main_node=properties["mainNode"])


def test_a_restart_of_the_emulator_is_the_loss_of_every_nodes_instance(tmp_path: Path) -> None:
    state_directory = tmp_path / "state"
    record = start_server(state_directory)
    try:
        with batch_world(Emulator(record.endpoint_url, state_directory), "restarted", vcpus=2) as world:
            script = 'test "$AWS_BATCH_JOB_ATTEMPT" = 2 || exec sleep 60'
            job_id = run(world, script, retryStrategy={"attempts": 2})
            world.wait_for(f"{job_id}#1", "RUNNING")
        stop_server(state_directory)
        record = start_server(state_directory)
        batch = Emulator(record.endpoint_url, state_directory).client("batch")

        def job() -> Json:
            return dict(batch.describe_jobs(jobs=[job_id])["jobs"][0])

        until(lambda: job()["status"] == "SUCCEEDED")
        first, second = job()["attempts"]
        assert first["statusReason"].startswith("Host EC2")
        assert second["container"]["exitCode"] == 0
    finally:
        stop_server(state_directory)
