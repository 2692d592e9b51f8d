"""What checks ask of an account, which the embedded AWS does not have: in AWS's own words, as botocore knows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from gaitway.acceptance.check import CheckFailedError, Findings, NotShownError
from gaitway.acceptance.checks import denials, image, memory, queries, teardown
from gaitway.acceptance.checks.interruption import interrupt
from gaitway.acceptance.links import execution_link, job_link
from gaitway.commands import DEFAULT_COMMANDS

REGION = "eu-west-1"
DIGEST = f"sha256:{'a' * 64}"
IMAGE = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/gaitway@{DIGEST}"
CONTAINER_INSTANCE = "arn:aws:ecs:eu-west-1:123456789012:container-instance/cluster_Batch_1/0123abcd"
ROLE = "arn:aws:iam::123456789012:role/fis"


class Account:
    """An account that expects the calls that a test lists, each with what it answers."""

    def __init__(self, **fields: Any) -> None:
        self.is_embedded = False
        self.fis_role: str | None = None
        self.commands = DEFAULT_COMMANDS
        self.deployment = SimpleNamespace(run_table_name="runs")
        self.began_at = datetime(2026, 11, 26, 12, tzinfo=UTC)
        self.session = boto3.Session("any", "any", region_name=REGION)
        self.progress = self
        self.trials: dict[str, Any] = {}
        self._clients: dict[str, Any] = {}
        self._stubs: dict[str, Stubber] = {}
        self._resources: dict[str, list[str]] = {}
        vars(self).update(fields)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            create: Any = self.session.client
            self._clients[service] = create(service)
            self._stubs[service] = Stubber(self._clients[service])
            self._stubs[service].activate()
        return self._clients[service]

    def expect(self, service: str, operation: str, answer: dict[str, Any], **parameters: Any) -> None:
        self.client(service)
        self._stubs[service].add_response(operation, answer, parameters)

    def finds_stack(self, stack: str, *, is_there: bool) -> None:
        if is_there:
            found = {"StackName": stack, "StackStatus": "CREATE_COMPLETE", "CreationTime": self.began_at}
            self.expect("cloudformation", "describe_stacks", {"Stacks": [found]}, StackName=stack)
        else:
            self.client("cloudformation")
            self._stubs["cloudformation"].add_client_error(
                "describe_stacks", "ValidationError", f"Stack with id {stack} does not exist", http_status_code=400,
                expected_params={"StackName": stack},
            )  # fmt: skip

    def have(self, resource_type: str, *names: str) -> None:
        self._resources[resource_type] = [*names]

    def resources(self, resource_type: str) -> list[str]:
        return self._resources.get(resource_type, [])

    def trial(self, name: str) -> Any:
        return self.trials[name]

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        yield

    def done(self) -> None:
        for stub in self._stubs.values():
            stub.assert_no_pending_responses()


@pytest.fixture
def account() -> Iterator[Any]:
    account = Account()
    yield account
    account.done()


def expect_job(account: Account, **container: Any) -> None:
    job = {"jobId": "job", "jobName": "run-1", "jobQueue": "any", "status": "RUNNING", "startedAt": 1}
    job |= {"jobDefinition": "any", "container": container}
    account.expect("batch", "describe_jobs", {"jobs": [job]}, jobs=["job"])


class TestInterruption:
    RECORD: Any = SimpleNamespace(job_id="job", run_id="run-1")

    def expect_instance(self, account: Account, **fields: Any) -> None:
        expect_job(account, containerInstanceArn=CONTAINER_INSTANCE)
        account.expect(
            "ecs",
            "describe_container_instances",
            {"containerInstances": [{"ec2InstanceId": "i-1"}]},
            cluster="cluster_Batch_1",
            containerInstances=[CONTAINER_INSTANCE],
        )
        described = {"Reservations": [{"Instances": [{"InstanceId": "i-1"} | fields]}]}
        account.expect("ec2", "describe_instances", described, InstanceIds=["i-1"])

    def test_the_instance_of_the_job_is_terminated(self, account: Any) -> None:
        self.expect_instance(account)
        account.expect("ec2", "terminate_instances", {}, InstanceIds=["i-1"])
        assert interrupt(account, self.RECORD) == "instance i-1 was terminated"

    def test_so_is_a_spot_instance_without_a_role_for_fis(self, account: Any) -> None:
        self.expect_instance(account, InstanceLifecycle="spot")
        account.expect("ec2", "terminate_instances", {}, InstanceIds=["i-1"])
        assert interrupt(account, self.RECORD) == "Spot instance i-1 was terminated"

    def test_with_one_fis_interrupts_it_with_two_minutes_notice(self, account: Any) -> None:
        account.fis_role = ROLE
        self.expect_instance(account, InstanceLifecycle="spot")
        identity = {"Account": "123456789012", "Arn": "arn:aws:sts::123456789012:assumed-role/any/any", "UserId": "any"}
        account.expect("sts", "get_caller_identity", identity)
        target = {
            "resourceType": "aws:ec2:spot-instance",
            "resourceArns": ["arn:aws:ec2:eu-west-1:123456789012:instance/i-1"],
            "selectionMode": "ALL",
        }
        action = {
            "actionId": "aws:ec2:send-spot-instance-interruptions",
            "parameters": {"durationBeforeInterruption": "PT2M"},
            "targets": {"SpotInstances": "instance"},
        }
        account.expect(
            "fis",
            "create_experiment_template",
            {"experimentTemplate": {"id": "EXT1"}},
            description=ANY,
            roleArn=ROLE,
            stopConditions=[{"source": "none"}],
            targets={"instance": target},
            actions={"interrupt": action},
        )
        started = {"experiment": {"id": "EXP1"}}
        account.expect("fis", "start_experiment", started, experimentTemplateId="EXT1")
        account.expect("fis", "delete_experiment_template", {}, id="EXT1")
        assert interrupt(account, self.RECORD).endswith("experiment EXP1")

    def test_a_job_without_an_instance_fails_the_check(self, account: Any) -> None:
        expect_job(account)
        with pytest.raises(CheckFailedError, match="does not say on which instance"):
            interrupt(account, self.RECORD)


class TestImage:
    def expect_definition(self, account: Account) -> None:
        account.have("AWS::Batch::JobDefinition", "arn:1")
        definition = {
            "jobDefinitionName": "gaitway-job", "jobDefinitionArn": "arn:1", "revision": 3, "status": "ACTIVE",
            "type": "container", "containerProperties": {"image": IMAGE},
        }  # fmt: skip
        described = {"jobDefinitions": [definition]}
        account.expect("batch", "describe_job_definitions", described, jobDefinitions=["arn:1"])
        account.client("ecr")

    def test_one_that_is_in_ecr_passes(self, account: Any) -> None:
        self.expect_definition(account)
        account.expect(
            "ecr", "describe_images", {}, registryId="123456789012", repositoryName="gaitway",
            imageIds=[{"imageDigest": DIGEST}],
        )  # fmt: skip
        findings = Findings()
        image.CHECK.run(account, findings)
        assert (findings.evidence[0].label, findings.evidence[0].value) == ("gaitway-job:3", IMAGE)

    def test_one_that_is_not_fails(self, account: Any) -> None:
        self.expect_definition(account)
        account._stubs["ecr"].add_client_error("describe_images", "ImageNotFoundException")
        with pytest.raises(CheckFailedError, match="does not exist"):
            image.CHECK.run(account, Findings())


def test_memory_is_read_from_the_job_of_the_first_training(account: Any) -> None:
    record = SimpleNamespace(job_id="job", run_id="run-1")
    account.trials["training-rsl_rl"] = SimpleNamespace(record=record, machine="g6.2xlarge")
    expect_job(account, resourceRequirements=[{"type": "MEMORY", "value": "28672"}])
    findings = Findings()
    memory.CHECK.run(account, findings)
    assert [fact.value for fact in findings.evidence] == ["job", "28672 MiB", "g6.2xlarge"]


class TestDeniedCalls:
    @pytest.fixture(autouse=True)
    def _no_waiting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(denials, "_DELAY", timedelta(0))
        monkeypatch.setattr(denials, "_PAUSE_SECONDS", 0.0)

    def page(self, account: Account, token: str | None, answers: str | None, event: str = "{}") -> None:
        position = {"NextToken": token} if token else {}
        answer: dict[str, Any] = {"Events": [{"CloudTrailEvent": event}]} | ({"NextToken": answers} if answers else {})
        account.expect("cloudtrail", "lookup_events", answer, StartTime=account.began_at, **position)

    def test_every_page_of_the_history_is_read_and_every_log(self, account: Any) -> None:
        account.have("AWS::Logs::LogGroup", "/gaitway/job")
        self.page(account, None, "1")
        self.page(account, "1", None)
        account.expect(
            "logs", "filter_log_events", {"events": []}, logGroupName="/gaitway/job",
            startTime=int(account.began_at.timestamp() * 1000), filterPattern='"AccessDenied"',
        )  # fmt: skip
        denials.CHECK.run(account, Findings())

    def test_a_busy_account_shows_nothing(self, account: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(denials, "_MOST_PAGES", 1)
        self.page(account, None, "1")
        with pytest.raises(NotShownError, match="more than 50 management events"):
            denials.CHECK.run(account, Findings())


class TestSavedQueries:
    TEXT = "filter @message like /{{run_id}}/"

    def run_with(self, account: Any, rows: int) -> Findings:
        record = SimpleNamespace(job_id=None, run_id="run-1", spec=None)
        account.trials["training-rsl_rl"] = SimpleNamespace(record=record)
        account.have("AWS::Logs::QueryDefinition", "q1")
        definition = {
            "queryDefinitionId": "q1",
            "name": "gaitway/run-story",
            "queryString": self.TEXT,
            "logGroupNames": ["/gaitway/job"],
        }
        account.expect("logs", "describe_query_definitions", {"queryDefinitions": [definition]})
        account.expect(
            "logs", "start_query", {"queryId": "1"}, logGroupNames=["/gaitway/job"],
            startTime=int(account.began_at.timestamp()), endTime=ANY, queryString="filter @message like /run-1/",
        )  # fmt: skip
        found = {"status": "Complete", "results": [[{"field": "who", "value": "any"}]] * rows}
        account.expect("logs", "get_query_results", found, queryId="1")
        findings = Findings()
        queries.CHECK.run(account, findings)
        return findings

    def test_one_that_finds_the_run_passes(self, account: Any) -> None:
        assert self.run_with(account, 2).evidence[0].value == "Complete, 2 rows"

    def test_one_that_does_not_fails(self, account: Any) -> None:
        with pytest.raises(CheckFailedError, match="gaitway/run-story found nothing"):
            self.run_with(account, 0)


@pytest.mark.parametrize("left", [(), ("arn:aws:ec2:eu-west-1:1:natgateway/nat-1",)])
def test_a_teardown_deletes_the_stacks_and_looks_for_what_bears_their_tag(account: Any, left: tuple[str, ...]) -> None:
    stacks = ("GaitwayHyperpodSlurm", "GaitwayPipeline", "GaitwayCompute", "GaitwayStorage", "GaitwayNetwork")
    for stack in ("GaitwayEks", "GaitwayHyperpodEks", "GaitwayHyperpodSlurm", "GaitwayPrometheus"):
        account.finds_stack(stack, is_there=stack in stacks)
    for stack in stacks:
        account.expect("cloudformation", "delete_stack", {}, StackName=stack)
        gone = {"StackName": stack, "StackStatus": "DELETE_COMPLETE", "CreationTime": account.began_at}
        account.expect("cloudformation", "describe_stacks", {"Stacks": [gone]}, StackName=stack)
    tags = [{"Key": "aws:cloudformation:stack-name", "Values": [*reversed(stacks)]}]
    arns = [{"ResourceARN": arn} for arn in ("arn:aws:s3:::bucket", *left)]
    account.expect("resourcegroupstaggingapi", "get_resources", {"ResourceTagMappingList": arns}, TagFilters=tags)
    findings = Findings()
    if left:
        with pytest.raises(CheckFailedError, match=r"1 resources stay: .*nat-1"):
            teardown.CHECK.run(account, findings)
    else:
        teardown.CHECK.run(account, findings)
    assert [fact.value for fact in findings.evidence if fact.label == "deleted"] == [*stacks]


@pytest.mark.parametrize(
    ("region", "domain"),
    [
        ("eu-west-1", "eu-west-1.console.aws.amazon.com"),
        ("us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
        ("cn-north-1", "cn-north-1.console.amazonaws.cn"),
    ],
)
def test_links_lead_to_the_console_of_the_partition(region: str, domain: str) -> None:
    site: Any = Account(session=boto3.Session("any", "any", region_name=region))
    assert (job_link(site, "job-1") or "").startswith(f"https://{domain}/batch/home?region={region}#jobs/detail/job-1")
    assert execution_link(site, "arn:any") is not None
    site.is_embedded = True
    assert execution_link(site, "arn:any") is None
