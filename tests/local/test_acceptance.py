"""`gaitway acceptance` against our stacks on the embedded AWS: it passes, and it fails where something is broken."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gaitway.acceptance.check import CheckFailedError, Findings
from gaitway.acceptance.checks import CHECKS, alarm, dashboard, denials, queries
from gaitway.acceptance.record import AcceptanceRecord
from gaitway.acceptance.site import Site
from gaitway.aws.metrics import Metrics, datum
from gaitway.cli import main
from gaitway.cli.acceptance import Terminal
from gaitway.cli.show import console
from gaitway.contracts.metrics import STEPS_PER_SECOND
from gaitway.contracts.run import RunState
from gaitway.local.launcher import STATE_VARIABLE, LocalAws
from tests.local.deployed import RUN_SECONDS, ControlPlane
from tests.local.roles import AssumedRole, denied

pytestmark = pytest.mark.timeout(900)

GAITWAY = str(Path(sys.executable).with_name("gaitway"))


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(monkeypatch: pytest.MonkeyPatch, local_state: Path, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(STATE_VARIABLE, str(local_state))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def site(local_aws: LocalAws, tmp_path: Path) -> Site:
    return Site(local_aws.session(), local_aws.deployment, True, Terminal(console()), tmp_path)


def accept(line: str, *, code: int = 0) -> dict[str, Any]:
    """Run the command; return what came of each check."""
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(f"acceptance --local --yes {line}"))
    assert (ended.value.code or 0) == code
    record = AcceptanceRecord.model_validate_json(Path("acceptance.json").read_bytes())
    page = Path("acceptance.html").read_text()
    for check in record.checks:
        assert check.title in page
    return {check.name: check for check in record.checks}


@contextmanager
def role_may_not(local_aws: LocalAws, logical_id: str, *actions: str) -> Iterator[None]:
    """Deny something to a role of the stacks."""
    session: Any = local_aws.session()
    iam = session.client("iam")
    [name] = [role["RoleName"] for role in iam.list_roles()["Roles"] if logical_id in role["RoleName"]]
    statement = {"Effect": "Deny", "Action": [*actions], "Resource": "*"}
    iam.put_role_policy(RoleName=name, PolicyName="broken", PolicyDocument=json.dumps({"Statement": [statement]}))
    try:
        yield
    finally:
        iam.delete_role_policy(RoleName=name, PolicyName="broken")


@pytest.mark.usefixtures("local_aws")
def test_everything_that_makes_sense_here_passes() -> None:
    checks = accept("")

    assert [name for name, check in checks.items() if check.status == "not here"] == ["image", "memory"]
    for name, check in checks.items():
        assert check.status in ("passed", "not here"), (name, check.reason)
    here = ("batch", "sagemaker")
    assert checks.keys() == {one.name for one in CHECKS if not one.only_by_name and one.effort.backend in here}
    facts = {name: {fact.label: fact.value for fact in check.evidence} for name, check in checks.items()}
    assert "SIGKILL" in facts["interruption"]["interruption"]
    assert "from iteration 0" in facts["interruption"]["attempt 1"]
    assert "videos/" in facts["evaluation"]["video"]
    assert facts["two-nodes"]["node 1"] == "SUCCEEDED, exit code 0"
    assert int(facts["sagemaker"]["attempt 1"].rpartition(" ")[2]) > 0
    assert facts["dashboard"]["Steps per second, by run"] == "has values"


@pytest.mark.slow
def test_what_is_broken_fails_and_says_why(local_aws: LocalAws) -> None:
    # A run goes on without its metrics: only its graphs and its log tell.
    with role_may_not(local_aws, "RunAccess", "cloudwatch:PutMetricData"):
        checks = accept("--only dashboard --only denied-calls", code=1)

    assert {name: check.status for name, check in checks.items()} == {
        "training-rsl_rl": "passed",
        "dashboard": "failed",
        "denied-calls": "failed",
    }
    assert "'Steps per second, by run' (Gaitway StepsPerSecond)" in checks["dashboard"].reason
    assert "PutMetricData" in checks["denied-calls"].reason


def test_what_needs_a_training_is_not_run_after_one_that_failed(local_aws: LocalAws) -> None:
    with role_may_not(local_aws, "SubmitJobRole", "batch:SubmitJob"):
        checks = accept("--only evaluation", code=1)

    assert checks["training-rsl_rl"].status == "failed"
    assert "batch:SubmitJob" in checks["training-rsl_rl"].reason
    assert (checks["evaluation"].status, checks["evaluation"].began_at) == ("not run", None)
    assert checks["evaluation"].reason == "needs training-rsl_rl, which did not pass"


@pytest.mark.slow
def test_after_ctrl_c_the_run_is_cancelled_and_what_was_done_is_written_down(plane: ControlPlane) -> None:
    line = [GAITWAY, "acceptance", "--local", "--yes", "--only", "alarm", "--only", "stop", "--only", "saved-queries"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as checking:
        try:
            assert checking.stdout is not None
            said = ""
            while "stop: simulate" not in said:
                said = checking.stdout.readline()
                assert said, "it ended before that"
        finally:
            checking.send_signal(signal.SIGINT)
            out, err = checking.communicate(timeout=RUN_SECONDS)
    assert checking.returncode == 130, out + err

    record = AcceptanceRecord.model_validate_json(Path("acceptance.json").read_bytes())
    assert record.is_interrupted
    status = {check.name: check.status.value for check in record.checks}
    assert status == {"training-rsl_rl": "passed", "stop": "not run", "saved-queries": "not run", "alarm": "not run"}
    [run] = next(check.runs for check in record.checks if check.name == "stop")
    cancelled = plane.runs.record(run.run_id)
    assert cancelled is not None
    assert cancelled.failure is not None
    assert (cancelled.state, cancelled.failure.error) == (RunState.FAILED, "CancelledError")


def test_a_call_that_was_denied_to_one_of_our_roles_fails_the_check(local_aws: LocalAws, site: Site) -> None:
    session: Any = local_aws.session()
    [name] = [name for name in site.resources("AWS::IAM::Role") if "SubmitJobRole" in name]
    arn = session.client("iam").get_role(RoleName=name)["Role"]["Arn"]
    with denied():
        AssumedRole(local_aws.endpoint_url, arn).client("batch").terminate_job(jobId="any", reason="any")

    with pytest.raises(CheckFailedError, match=rf"{name} called batch\.amazonaws\.com TerminateJob"):
        denials.CHECK.run(site, Findings())


def test_a_dashboard_that_shows_the_runs_of_others_only_fails_the_check(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "_WAIT_EMBEDDED", timedelta(0))
    metrics = Metrics(site.client("cloudwatch"), site.commands.names.metrics_namespace)
    metrics.publish([datum(STEPS_PER_SECOND, 1.0, datetime.now(UTC), "run-of-others")])
    with pytest.raises(CheckFailedError, match="'Steps per second, by run'"):
        dashboard.CHECK.run(site, Findings())


def test_a_dashboard_without_values_fails_the_check(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "_WAIT_EMBEDDED", timedelta(0))
    site.began_at = datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(CheckFailedError, match="'Mean reward, by run'"):
        dashboard.CHECK.run(site, Findings())


def test_an_alarm_that_tells_nobody_fails_the_check(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarm, "_SECONDS_EMBEDDED", 1.0)
    names = site.resources("AWS::CloudWatch::Alarm")
    site.client("cloudwatch").disable_alarm_actions(AlarmNames=names)
    try:
        with pytest.raises(CheckFailedError, match="received nothing"):
            alarm.CHECK.run(site, Findings())
    finally:
        site.client("cloudwatch").enable_alarm_actions(AlarmNames=names)
    topics = {topic["TopicArn"] for topic in site.client("sns").list_topics()["Topics"]}
    queues = site.client("sqs").list_queues(QueueNamePrefix="gaitway-acceptance-").get("QueueUrls", [])
    left = [
        one
        for topic in topics
        for one in site.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    ]
    assert [one["Endpoint"] for one in left if "gaitway-acceptance-" in one["Endpoint"]] == queues == []


def test_a_saved_query_that_reads_what_no_line_has_fails_the_check(site: Site) -> None:
    logs = site.client("logs")
    query_id = site.resources("AWS::Logs::QueryDefinition")[0]
    [query] = [
        one for one in logs.describe_query_definitions()["queryDefinitions"] if one["queryDefinitionId"] == query_id
    ]
    fields = {name: query[name] for name in ("queryDefinitionId", "name", "logGroupNames", "queryString")}
    logs.put_query_definition(**fields | {"queryString": "fields @timestamp, nobody_logs_this"})
    try:
        with pytest.raises(CheckFailedError, match="nobody_logs_this"):
            queries.CHECK.run(site, Findings())
    finally:
        logs.put_query_definition(**fields)


@pytest.mark.usefixtures("local_aws")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("acceptance --local --yes --only nothing", "no check is named 'nothing', allowed: image, training-rsl_rl"),
        ("acceptance --local", "pass --yes"),
    ],
)
def test_a_wrong_command_line_begins_nothing(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(line))
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
    assert not Path("acceptance.json").exists()
