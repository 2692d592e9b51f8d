"""The `gaitway` command against our stacks on the embedded AWS."""

import http.client
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer

from gaitway.cli import app, main
from gaitway.contracts.run import RunRecord, RunState, run_id_of, workflow_output_path
from gaitway.local.launcher import STATE_VARIABLE, LocalAws, LocalSession
from tests.checkpoints import checkpoint
from tests.local.conformance.workflow import until
from tests.local.deployed import RUN_SECONDS, TINY, ControlPlane
from tests.local.emulator import Emulator
from tests.local.examples import ITERATIONS, write_small_examples

ROOT = Path(__file__).parents[2]
GAITWAY = str(Path(sys.executable).with_name("gaitway"))
LONG = TINY | {"maxIterations": 100_000}


@pytest.fixture(autouse=True)
def _nothing_but_the_state_directory(monkeypatch: pytest.MonkeyPatch, local_state: Path, tmp_path: Path) -> None:
    """A user without any AWS configuration, in a directory with the examples."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(STATE_VARIABLE, str(local_state))
    write_small_examples(tmp_path / "examples")
    monkeypatch.chdir(tmp_path)


class Command:
    """Runs the command in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, line: str, *, code: int = 0) -> tuple[str, str]:
        """Run a command line; return what it wrote to stdout and stderr."""
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(line))
        out, err = self._capsys.readouterr()
        assert (ended.value.code or 0) == code, out + err
        return out, err

    def document(self, line: str, *, code: int = 0) -> Any:
        """Run a command line whose stdout must be one JSON document."""
        return json.loads(self(f"{line} --json", code=code)[0])

    def error(self, line: str, *, code: int) -> str:
        """Run a command line that must end with one error, in one line; return it."""
        out, err = self(line, code=code)
        errors = [line for line in err.splitlines() if not line.startswith("Using the ")]
        assert out == ""
        assert len(errors) == 1, err
        return errors[0]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def scalars_in_tensorboard(*arguments: str) -> set[str]:
    """Ask TensorBoard for the scalars of the one run that it shows, and end it."""
    with subprocess.Popen(
        [GAITWAY, "tensorboard", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as showing:
        try:
            assert showing.stdout is not None
            said = showing.stdout.readline()
            address = re.search(r"http://(127\.0\.0\.1:\d+)/", said)
            assert address, said
            server = http.client.HTTPConnection(address[1])

            def runs() -> dict[str, set[str]]:
                server.request("GET", "/data/plugin/scalars/tags")
                return {name: {*tags} for name, tags in json.load(server.getresponse()).items()}

            # It reads in the background, and again every five seconds.
            until(lambda: any(runs().values()), RUN_SECONDS)
            [scalars] = runs().values()
        finally:
            showing.send_signal(signal.SIGINT)
            _, err = showing.communicate(timeout=RUN_SECONDS)
    assert showing.returncode == 0, err
    server.close()
    with pytest.raises(ConnectionRefusedError):
        server.connect()
    return scalars


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("local_aws")
def test_the_documented_commands_do_what_the_page_says(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "command-line.md").read_text()
    [config] = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "config.yaml").write_text(config)
    blocks = re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    said: dict[str, str] = {}
    run = other = ""

    for line in "".join(blocks).splitlines():
        words = [{"RUN": run, "OTHER_RUN": other}.get(word, word) for word in shlex.split(line)]
        if words[1] == "tensorboard":
            assert scalars_in_tensorboard(*words[2:]) >= {"Train/mean_reward", "Loss/value"}
            said[line] = ""
            continue
        ended = subprocess.run([GAITWAY, *words[1:]], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, line + ended.stdout + ended.stderr
        assert "--local" not in words or ended.stderr.startswith("Using the embedded AWS"), ended.stderr
        said[line] = ended.stdout
        if submitted := re.search(r"^Submitted (run-[0-9a-f]{12})", ended.stdout):
            run, other = submitted[1], run

    commands = {line.split()[1] for line in said}
    everything = typer.main.get_command(app)
    assert isinstance(everything, typer.core.TyperGroup)
    # `demo` is two runs more; `acceptance`, `agent`, `assets` `local` and `view` have pages and tests of their own.
    assert commands >= everything.commands.keys() - {"acceptance", "agent", "assets", "demo", "local", "view"}
    assert "succeeded" in said["gaitway logs RUN --follow --local"].splitlines()[-1]
    assert f"{ITERATIONS}/{ITERATIONS}" in said["gaitway watch RUN --local"]
    assert f"{ITERATIONS}/{ITERATIONS}" in said["gaitway ls --local"]
    assert "succeeded" in said["gaitway show RUN --local"]
    assert (tmp_path / "outputs" / "cartpole" / "checkpoints" / f"model_{ITERATIONS - 1}.pt").is_file()
    assert "2 runs" in (tmp_path / "outputs" / "compare.html").read_text()
    assert "generated/submit-job.json" in said["gaitway generate examples/cartpole-train.json -o generated --local"]
    assert "generated/create-training-job.json" in said["gaitway generate --config config.yaml"]
    assert "Cancelled run-" in said["gaitway cancel RUN --local"]
    shown = json.loads(said["gaitway show RUN --json --local"])
    assert (shown["state"], shown["failure"]["error"]) == ("failed", "CancelledError")
    assert [entry["state"] for entry in json.loads(said["gaitway ls --json --local"])][:3] == [
        "failed",
        "succeeded",
        "succeeded",
    ]


@pytest.mark.slow
def test_a_watched_run_goes_on_after_ctrl_c_and_ends_when_it_is_cancelled(
    plane: ControlPlane, command: Command, tmp_path: Path
) -> None:
    # Asked for by VAMS, so that its caller's execution is none that the command knows.
    outer = plane.start(plane.vams_machine({"trainingConfig": LONG}), plane.vams_input())
    name = {"name": outer.rpartition(":")[2]}
    until(lambda: plane.vams_record_of(name) is not None, RUN_SECONDS)
    record = plane.vams_record_of(name)
    assert record is not None
    with subprocess.Popen(
        [GAITWAY, "watch", record.run_id, "--local"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as watching:
        try:
            assert watching.stdout is not None
            while b"simulate \xc2\xb7" not in watching.stdout.readline():
                assert watching.poll() is None
        finally:
            watching.send_signal(signal.SIGINT)
            _, err = watching.communicate(timeout=RUN_SECONDS)
    assert watching.returncode == 130
    assert f"gaitway cancel {record.run_id} --local" in err.decode()

    assert "is running" in command.error(f"results {record.run_id} --local", code=3)
    assert "Train/mean_reward" in scalars_in_tensorboard(record.run_id, "--local")
    cancelled = command.document(f"cancel {record.run_id[:12]} --local")

    assert (cancelled["state"], cancelled["failure"]["error"]) == ("failed", "CancelledError")
    assert "had ended already" in command(f"cancel {record.run_id} --local")[0]
    assert "CancelledError" in command(f"watch {record.run_id} --local", code=1)[1]
    left = command.document(f"results {record.run_id} -o left --local")
    assert (tmp_path / "left" / left["files"][0]["path"]).is_file()
    assert "Train/mean_reward" in scalars_in_tensorboard(record.run_id, "--local")
    lines = command.document(f"logs {record.run_id} --local")["events"]
    assert any("simulate" in line["message"] for line in lines)


def test_what_a_request_gives_by_path_is_uploaded_and_its_group_lists_the_run(
    plane: ControlPlane, command: Command, tmp_path: Path
) -> None:
    # Of a smaller network: its simulator refuses it.
    (tmp_path / "model_9.pt").write_bytes(checkpoint())
    group = {"groupId": f"group-{uuid.uuid4().hex}", "parentRunId": "run-" + "0" * 20}
    request = group | {"trainingConfig": TINY | {"mode": "evaluate", "policyPath": "model_9.pt"}}
    (tmp_path / "mine.json").write_text(json.dumps(request))

    failed = command.document("submit mine.json --watch --local", code=1)

    policy = failed["spec"]["policy"]
    assert policy.startswith(f"s3://{plane.bucket}/inputs/")
    assert policy.endswith("/model_9.pt")
    [listed] = command.document(f"ls --group {group['groupId']} --state failed --local")
    assert (listed["run_id"], listed["parent_run_id"]) == (failed["run_id"], group["parentRunId"])
    assert command.document(f"ls --group {group['groupId']} --state running --local") == []
    assert "run-00000000000000000000" in command(f"show {failed['run_id']} --local")[0]


def test_a_run_that_is_refused_is_told_at_once(plane: ControlPlane, command: Command) -> None:
    error = command.error(
        f"submit examples/cartpole-evaluate.json --input s3://{plane.bucket}/no/model_9.pt --local", code=1
    )
    assert "was refused" in error
    assert "no/model_9.pt" in error
    [newest] = command.document("ls -n 1 --local")
    assert newest["run_id"] in error


def test_a_run_that_never_got_a_record_is_found_through_its_caller(plane: ControlPlane, command: Command) -> None:
    outer = plane.start(plane.deployment.workflow_arn, {"inputParameters": {"nonsense": 1}})
    plane.ended(outer)
    run_id = run_id_of(workflow_output_path(plane.bucket, outer.rpartition(":")[2]))
    assert plane.table.get(run_id) is None

    shown = command.document(f"show {run_id[:14]} --local")

    assert (shown["run_id"], shown["state"], shown["failure"]["error"]) == (run_id, "failed", "RequestError")
    assert "nonsense is not a known key" in command.error(f"results {run_id} --local", code=3)
    assert "nonsense is not a known key" in command(f"watch {run_id} --local", code=1)[1]


def test_the_beginning_of_an_id_must_mean_one_run(plane: ControlPlane, command: Command) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    for end in "12":
        run_id = f"run-abcxyz{end}"
        failed = RunRecord(run_id=run_id, state=RunState.FAILED, created_at=long_ago, updated_at=long_ago)
        assert plane.table.accept(failed, "caller", instead_of=None)

    assert "matches 2 runs (run-abcxyz1, run-abcxyz2)" in command.error("show abcxyz --local", code=3)
    assert command.document("show abcxyz2 --local")["run_id"] == "run-abcxyz2"


@pytest.mark.usefixtures("local_aws")
@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("show nothing --local", 3, "there is no run 'nothing'"),
        ("show run- --local", 3, "gaitway ls"),
        ("validate nothing.json", 2, "nothing.json cannot be read"),
        ("submit nothing.json --local", 2, "nothing.json cannot be read"),
        ("submit examples/cartpole-evaluate.json --local", 2, "--policy-of RUN"),
        ("submit examples/cartpole-train.json --policy-of 1 --local", 2, "mode is train"),
        ("submit examples/cartpole-train.json --input nonsense --local", 2, "s3://bucket/key"),
        ("submit examples/custom-environment-train.json --local", 2, "customEnvironmentPath is"),
        ("submit --local", 2, "FILE is missing"),
        ("submit examples/cartpole-train.json --iterations 5 --local", 2, "give --continue RUN, too"),
        ("submit --continue nothing --iterations 5 --local", 3, "there is no run 'nothing'"),
        ("submit --continue 1 --policy-of 2 --local", 2, "mode is train"),
        ("compare nothing other --local", 3, "there is no run 'nothing'"),
        ("logs 1 --follow --json", 2, "--json prints one document"),
        ("ls --local --region eu-west-1", 2, "give one of them"),
        ("ls --profile nobody", 4, "(nobody) could not be found"),
        ("ls --region eu-west-1", 4, "there are no AWS credentials"),
    ],
)
def test_an_error_is_one_sentence_with_its_exit_code(command: Command, line: str, code: int, words: str) -> None:
    assert words in command.error(line, code=code)


def test_a_mistake_in_a_request_is_found_before_anything_is_sent(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"trainingConfig": {"numEnv": 3, "maxIterations": -1}}')
    for line in ("validate mine.json", "submit mine.json --local"):
        error = command.error(line, code=2)
        assert "mine.json: " in error
        assert "trainingConfig.maxIterations is -1, allowed: " in error
        assert "did you mean numEnvs?" in error
    assert (
        command.document("validate examples/cartpole-train.json")["trainingConfig"]["task"]
        == "Isaac-Cartpole-Direct-v0"
    )


def test_doctor_says_what_stands_in_the_way(
    local_aws: LocalAws, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = command.document("doctor --local")
    assert [finding["subject"] for finding in found if finding["state"] == "ok"] == [
        "embedded AWS",
        "credentials",
        "deployment",
        "version",
        # For one GPU and for four, on one node and on several; and in front of SageMaker.
        *["job queue"] * 5,
        "quotas",
        "image",
    ]
    with pytest.MonkeyPatch.context() as patch:
        _have_credentials(patch, local_aws.endpoint_url)
        for finding in command.document("doctor", code=1):
            if finding["state"] == "problem":
                _do(LocalSession(local_aws.endpoint_url), finding["detail"])
        in_account = {finding["subject"]: finding for finding in command.document("doctor")}
    assert in_account["service-linked roles"]["state"] == "ok"
    assert in_account["DNS of the VPC"]["state"] == "ok"
    assert re.search(r"\d\+[0-9a-f]{8}", in_account["version"]["detail"])
    # The emulator has no Service Quotas.
    assert (in_account["quotas"]["state"], in_account["quotas"]["detail"][:13]) == ("note", "not looked at")
    without = command("doctor --region eu-west-1", code=1)[0]
    assert re.search(r"problem +credentials +there are no AWS credentials", without)
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "none"))
    [down] = command.document("doctor --local", code=1)
    assert "gaitway local up" in down["detail"]


def _do(session: Any, advice: str) -> None:
    """Do what doctor says."""
    if service := re.search(r"aws iam create-service-linked-role --aws-service-name ([a-z.]+)", advice):
        session.client("iam").create_service_linked_role(AWSServiceName=service[1])
        return
    group = re.search(r"authorize-security-group-ingress --group-id (\S+) --protocol all --source-group \1`", advice)
    assert group is not None, advice
    rule = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group[1]}]}
    session.client("ec2").authorize_security_group_ingress(GroupId=group[1], IpPermissions=[rule])


@pytest.mark.slow
def test_doctor_looks_at_an_account_before_the_first_deployment(
    command: Command, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ec2: Any = emulator.client("ec2")
    vpc_id = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc_id, EnableDnsHostnames={"Value": False})
    # As securityhub's control EC2.2 asks: docs.aws.amazon.com/securityhub/latest/userguide/ec2-controls.html
    filters = [{"Name": "vpc-id", "Values": [vpc_id]}, {"Name": "group-name", "Values": ["default"]}]
    [group] = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])

    def subnet(number: int, zone: str, kind: str) -> str:
        made = ec2.create_subnet(VpcId=vpc_id, CidrBlock=f"10.7.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")[
            "Subnet"
        ]["SubnetId"]
        ec2.create_tags(Resources=[made], Tags=[{"Key": "aws-cdk:subnet-type", "Value": kind}])
        return str(made)

    def found(*settings: str) -> dict[str, Any]:
        options = " ".join(f"-c {setting}" for setting in settings)
        return {finding["subject"]: finding for finding in command.document(f"doctor {options}", code=1)}

    public, _ = subnet(1, "a", "Public"), subnet(2, "b", "Isolated")
    _have_credentials(monkeypatch, emulator.endpoint_url)

    new = found()
    assert new["deployment"]["state"] == "note"
    assert "does not exist: run" in new["deployment"]["detail"]
    assert new["settings"] == {"subject": "settings", "state": "ok", "detail": "as in config.json"}
    assert "create-service-linked-role" in new["service-linked roles"]["detail"]
    assert "DNS of the VPC" not in new

    refused = found(f"vpcId={vpc_id}")["settings"]
    assert refused["state"] == "problem"
    assert "1 public subnet, 1 isolated subnet and no private subnet" in refused["detail"]

    subnet(3, "b", "Private")
    in_vpc = found(f"vpcId={vpc_id}", "useEfa=true")
    assert in_vpc["settings"]["state"] == "ok"
    assert f"modify-vpc-attribute --vpc-id {vpc_id} --enable-dns-hostnames" in in_vpc["DNS of the VPC"]["detail"]
    _do(LocalSession(emulator.endpoint_url), in_vpc["default security group"]["detail"])
    assert found(f"vpcId={vpc_id}", "useEfa=true")["default security group"]["state"] == "ok"
    assert (
        f"subnetIds holds '{public}', which is a public subnet"
        in found(f"vpcId={vpc_id}", f"subnetIds={public}")["settings"]["detail"]
    )
    assert "write -c vpcId=VALUE" in command.error("doctor -c vpcId", code=2)


def test_doctor_notices_a_queue_that_starts_no_job(plane: ControlPlane, command: Command) -> None:
    arn = plane.deployment.job_queue_arn
    [queue] = plane.batch.describe_job_queues(jobQueues=[arn])["jobQueues"]
    environments = [entry["computeEnvironment"] for entry in queue["computeEnvironmentOrder"]]

    def problem_with(state: str, *names: str) -> str:
        for name in names:
            plane.batch.update_compute_environment(computeEnvironment=name, state=state)
        [finding] = [found for found in command.document("doctor --local", code=1) if found["state"] == "problem"]
        assert finding["subject"] == "job queue"
        return str(finding["detail"])

    try:
        assert "DISABLED" in problem_with("DISABLED", *environments)
        plane.batch.update_job_queue(jobQueue=arn, state="DISABLED")
        assert "is DISABLED and VALID" in problem_with("ENABLED", *environments)
    finally:
        for name in environments:
            plane.batch.update_compute_environment(computeEnvironment=name, state="ENABLED")
        plane.batch.update_job_queue(jobQueue=arn, state="ENABLED")


class TestWhereACommandGoes:
    """The embedded AWS, or an account."""

    @pytest.fixture(autouse=True)
    def _up(self, local_aws: LocalAws) -> None:
        self.endpoint_url = local_aws.endpoint_url

    def test_to_the_embedded_aws_where_it_is_up_and_nothing_names_an_account(self, command: Command) -> None:
        assert command("ls -n 1")[1].startswith(f"Using the embedded AWS at {self.endpoint_url}\n")

    def test_to_an_account_where_the_environment_has_credentials(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _have_credentials(monkeypatch, self.endpoint_url)
        out, err = command("ls -n 1 --json")
        assert err.startswith("Using the AWS account of profile default in us-east-1, at ")
        assert isinstance(json.loads(out), list)
        assert command("ls -n 1 --local")[1].startswith("Using the embedded AWS")

    def test_a_state_directory_without_an_emulator_is_told(
        self, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "none"))
        assert "run `gaitway local up`" in command.error("ls --local", code=3)

    def test_an_account_without_a_deployment_is_told(
        self, command: Command, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _have_credentials(monkeypatch, emulator.endpoint_url)
        error = command.error("ls", code=3)
        assert "cdk deploy" in error
        assert "--local" in error

    def test_a_network_that_is_not_there_is_told(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        _have_credentials(monkeypatch, "http://127.0.0.1:9")
        assert "AWS cannot be reached" in command.error("ls", code=4)


def _have_credentials(monkeypatch: pytest.MonkeyPatch, endpoint_url: str) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
