"""The launcher: one emulator per state directory, that comes, stays, goes and leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from gaitway.cli.exits import Exit
from gaitway.cli.local import app
from gaitway.client.deployment import NotDeployedError, read_deployment
from gaitway.installation import REPOSITORY_ROOT
from gaitway.local import launcher as launcher_module
from gaitway.local.cdk import DeployError, Progress
from gaitway.local.extensions import MINISTACK_VERSION, MiniStackVersionError, check_version
from gaitway.local.guard import MARKER, processes_with
from gaitway.local.launcher import Launcher, LocalAws, LocalSession
from gaitway.local.record import ServerRecord
from gaitway.names import DEFAULT_NAMES
from tests.processes import wait_until_ended

OUTPUTS = {
    "GaitwayNetwork": {},
    "GaitwayStorage": {"AssetBucketName": "bucket", "RunTableName": "table"},
    "GaitwayCompute": {"JobQueueArns": "queue"},
    "GaitwayPipeline": {"PipelineArn": "pipeline", "WorkflowArn": "workflow", "LaunchFunctionName": "launch"},
}


def template(outputs: Mapping[str, str]) -> str:
    """A stack of one small resource."""
    return json.dumps(
        {
            "Resources": {"Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"}},
            "Outputs": {key: {"Value": value} for key, value in outputs.items()},
        }
    )


class SmallDeployer:
    """Deploys stacks that have nothing but the outputs, without the CDK."""

    def __init__(self) -> None:
        self.version = "1"
        self.deployments = 0

    def digest(self) -> str:
        return self.version

    def deploy(self, environment: Mapping[str, str], progress: Progress) -> None:
        self.deployments += 1
        if self.version == "broken":
            raise DeployError("a resource failed")
        cloudformation: Any = LocalSession(environment["AWS_ENDPOINT_URL"]).client("cloudformation")
        existing = {stack["StackName"] for stack in cloudformation.describe_stacks()["Stacks"]}
        for name in DEFAULT_NAMES.stacks:
            if name not in existing:
                cloudformation.create_stack(StackName=name, TemplateBody=template(OUTPUTS[name]))
                cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 0})


@pytest.fixture
def deployer() -> SmallDeployer:
    return SmallDeployer()


@pytest.fixture
def launcher(tmp_path: Path, deployer: SmallDeployer) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path / "state", deployer)
    yield launcher
    launcher.down()


def up(launcher: Launcher) -> LocalAws:
    return launcher.up(lambda line: None)


def record_of(launcher: Launcher) -> ServerRecord:
    record = ServerRecord.read(launcher.state_directory)
    assert record
    return record


def start_job(local: LocalAws, script: str) -> psutil.Process:
    """Run a job, and return its process once it runs."""
    batch: Any = local.session().client("batch")
    batch.create_compute_environment(
        computeEnvironmentName="ce", type="MANAGED", computeResources={"type": "EC2", "maxvCpus": 4, "subnets": []}
    )
    batch.create_job_queue(
        jobQueueName="queue", priority=1, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "ce"}]
    )
    batch.register_job_definition(
        jobDefinitionName="job",
        type="container",
        containerProperties={"image": "gaitway/shell:local", "command": ["sh", "-c", script]},
        retryStrategy={"attempts": 2},
    )
    job_id = batch.submit_job(jobName="job", jobQueue="queue", jobDefinition="job")["jobId"]
    while not (running := processes_with("AWS_BATCH_JOB_ID", job_id)):
        pass
    return running[0]


def test_up_serves_on_this_machine_only(launcher: Launcher) -> None:
    local = up(launcher)
    port = int(local.endpoint_url.rpartition(":")[2])
    process = record_of(launcher).process()
    assert process
    listening = {connection.laddr for connection in process.connections() if connection.status == "LISTEN"}
    assert listening == {("127.0.0.1", port)}
    for address in {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}:
        if not str(address).startswith("127."):
            with pytest.raises(OSError, match="refused"):
                urllib.request.urlopen(f"http://{address}:{port}/", timeout=2)


def test_a_second_up_changes_nothing_until_the_sources_have_changed(
    launcher: Launcher, deployer: SmallDeployer
) -> None:
    first = up(launcher)
    before = record_of(launcher)
    assert up(launcher) == first
    assert record_of(launcher) == before
    assert deployer.deployments == 1
    deployer.version = "2"
    up(launcher)
    assert deployer.deployments == 2
    deployer.version = "broken"
    with pytest.raises(DeployError):
        up(launcher)
    assert launcher.status().running, "a failed deployment leaves an emulator that ran before"


def test_two_ups_at_the_same_time_start_one_emulator(launcher: Launcher, deployer: SmallDeployer) -> None:
    barrier = threading.Barrier(2)

    def together(_: int) -> LocalAws:
        barrier.wait()
        return up(launcher)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(together, range(2))
    assert first == second
    assert deployer.deployments == 1


def test_down_keeps_the_state(launcher: Launcher, deployer: SmallDeployer) -> None:
    local = up(launcher)
    s3: Any = local.session().client("s3")
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="key", Body=b"content")
    process = record_of(launcher).process()
    assert process

    assert launcher.down()
    wait_until_ended(process.pid)
    assert not launcher.status().running

    again = up(launcher)
    assert again == local
    s3 = again.session().client("s3")
    assert s3.get_object(Bucket="kept", Key="key")["Body"].read() == b"content"
    assert deployer.deployments == 1


def test_a_port_that_is_taken_meanwhile_is_left_to_its_owner(launcher: Launcher) -> None:
    before = up(launcher).endpoint_url
    launcher.down()
    with socket.create_server(("127.0.0.1", int(before.rpartition(":")[2]))):
        assert up(launcher).endpoint_url != before


def test_down_is_harmless_where_nothing_runs(launcher: Launcher) -> None:
    assert not launcher.down()


def test_reset_forgets_the_state(launcher: Launcher, deployer: SmallDeployer) -> None:
    local = up(launcher)
    local.session().client("s3").create_bucket(Bucket="forgotten")
    launcher.reset()
    assert not launcher.state_directory.exists()
    s3: Any = up(launcher).session().client("s3")
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == []
    assert deployer.deployments == 2


def test_down_ends_jobs_and_the_next_up_takes_them_up_again(launcher: Launcher) -> None:
    job = start_job(up(launcher), 'test "$AWS_BATCH_JOB_ATTEMPT" = 2 || exec sleep 60')
    launcher.down()
    wait_until_ended(job.pid)

    batch: Any = up(launcher).session().client("batch")
    jobs: list[Any] = []
    while not jobs:
        jobs = batch.list_jobs(jobQueue="queue", jobStatus="SUCCEEDED")["jobSummaryList"]
    [job] = batch.describe_jobs(jobs=[jobs[0]["jobId"]])["jobs"]
    assert [attempt["statusReason"] for attempt in job["attempts"]] == [
        "Host EC2 (instance i-0e1b5d0c0a1a1a1a1) terminated.",
        "Essential container in task exited",
    ]


def test_a_killed_emulator_leaves_no_process(launcher: Launcher) -> None:
    session_of_its_own = "import subprocess; subprocess.run(['sleep', '60'], start_new_session=True)"
    start_job(up(launcher), f'trap "" TERM; {sys.executable} -c "{session_of_its_own}"; sleep 60')
    record = record_of(launcher)
    server = record.process()
    assert server
    processes = processes_with(MARKER, record.emulator_id)
    assert len(processes) >= 3
    server.kill()
    for process in processes:
        wait_until_ended(process.pid)
    assert processes_with(MARKER, record.emulator_id) == []


def test_up_after_a_kill_starts_anew(launcher: Launcher, deployer: SmallDeployer) -> None:
    up(launcher)
    server = record_of(launcher).process()
    assert server
    server.kill()
    wait_until_ended(server.pid)
    assert not launcher.status().running
    up(launcher)
    assert launcher.status().running
    # Nothing was saved, so that the stacks had to be deployed again.
    assert deployer.deployments == 2


def test_up_starts_an_emulator_anew_whose_code_has_changed_and_keeps_its_state(
    launcher: Launcher, deployer: SmallDeployer
) -> None:
    up(launcher)
    old = record_of(launcher)
    old.model_copy(update={"sources": "those of yesterday"}).write(launcher.state_directory)
    up(launcher)
    assert record_of(launcher).emulator_id != old.emulator_id
    assert old.process() is None
    assert deployer.deployments == 1


def test_another_program_with_the_old_process_id_is_left_alone(launcher: Launcher) -> None:
    launcher.state_directory.mkdir(parents=True)
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        ServerRecord(
            process_id=stranger.pid, create_time=1.0, emulator_id="old", endpoint_url="http://127.0.0.1:1"
        ).write(launcher.state_directory)
        assert not launcher.status().running
        up(launcher)
        assert launcher.status().running
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_failed_deployment_leaves_no_emulator(launcher: Launcher, deployer: SmallDeployer) -> None:
    deployer.version = "broken"
    with pytest.raises(DeployError, match="a resource failed"):
        up(launcher)
    assert not launcher.status().running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_up_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    script = """
import sys
from pathlib import Path
from gaitway.local.launcher import Launcher

class Endless:
    def digest(self): return "1"
    def deploy(self, environment, progress):
        print("deploying", flush=True)
        sys.stdin.read()

Launcher(Path(sys.argv[1]), Endless()).up(lambda line: None)
"""
    state_directory = tmp_path / "state"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(state_directory)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=REPOSITORY_ROOT,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stdout.readline() == b"deploying\n"
        record = ServerRecord.read(state_directory)
        assert record
        process.send_signal(number)
        process.wait(30)
    assert processes_with(MARKER, record.emulator_id) == []


def test_status_names_what_is_deployed_and_what_it_costs(launcher: Launcher) -> None:
    local = up(launcher)
    status = launcher.status()
    assert status.endpoint_url == local.endpoint_url
    assert status.deployment == local.deployment
    assert status.deployment.workflow_arn == "workflow"
    assert record_of(launcher).process_id in status.process_ids
    assert 20 < status.memory_mib < 1000


def test_the_developers_own_settings_reach_nothing(launcher: Launcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    local = up(launcher)
    assert local.session().client("sts").get_caller_identity()["Account"] == "000000000000"


def test_a_proxy_is_not_asked_for_the_emulator(
    tmp_path: Path, deployer: SmallDeployer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "example.com")
    monkeypatch.setenv("no_proxy", "example.com")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    launcher = Launcher(tmp_path / "state", deployer)
    try:
        environment = up(launcher).environment()
    finally:
        launcher.down()
    assert environment["NO_PROXY"] == "example.com,127.0.0.1"


def test_the_commands(launcher: Launcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher_module, "default_launcher", lambda *_: launcher)
    runner = CliRunner()

    assert runner.invoke(app, ["env"]).exit_code == Exit.NOT_FOUND
    assert runner.invoke(app, ["up"]).exit_code == 0

    status = json.loads(runner.invoke(app, ["status", "--json"]).stdout)
    assert status["running"]
    assert status["deployment"]["pipeline_arn"] == "pipeline"

    exports = runner.invoke(app, ["env"]).stdout
    shell = subprocess.run(
        ["sh", "-c", f'{exports}\nexec "$0" -c "import boto3; print(boto3.client(\'sts\').get_caller_identity())"',
         sys.executable],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "000000000000" in shell.stdout

    assert runner.invoke(app, ["down"]).exit_code == 0
    assert not json.loads(runner.invoke(app, ["status", "--json"]).stdout)["running"]
    assert runner.invoke(app, ["reset"]).exit_code == 0


def test_a_missing_stack_or_output_is_named(launcher: Launcher) -> None:
    cloudformation: Any = up(launcher).session().client("cloudformation")
    cloudformation.update_stack(StackName="GaitwayCompute", TemplateBody=template({"Other": "value"}))
    cloudformation.get_waiter("stack_update_complete").wait(StackName="GaitwayCompute", WaiterConfig={"Delay": 0})
    with pytest.raises(NotDeployedError, match="no output JobQueueArns"):
        read_deployment(cloudformation)
    cloudformation.delete_stack(StackName="GaitwayCompute")
    cloudformation.get_waiter("stack_delete_complete").wait(StackName="GaitwayCompute", WaiterConfig={"Delay": 0})
    with pytest.raises(NotDeployedError, match="the stack GaitwayCompute does not exist"):
        read_deployment(cloudformation)


def test_another_version_of_ministack_is_refused() -> None:
    check_version(MINISTACK_VERSION)
    with pytest.raises(MiniStackVersionError, match=r"needs ministack 1\.5\.33, but 1\.6\.0 is installed"):
        check_version("1.6.0")
