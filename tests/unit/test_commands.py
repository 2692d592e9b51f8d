"""Commands that messages suggest: each goes to the place and to the deployment that the message is about."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from gaitway.acceptance.check import CheckFailedError, Findings
from gaitway.acceptance.checks import dashboard
from gaitway.cli.exits import explain
from gaitway.cli.target import DEPLOYMENT_VARIABLE, choose_place
from gaitway.client.deployment import NotDeployedError, read_deployment
from gaitway.client.runs import RunNotFoundError, Runs
from gaitway.commands import Commands
from gaitway.contracts.errors import PlatformError
from gaitway.names import Names

ROOT = Path(__file__).parents[2]
DEV = Names("dev")
IN_ACCOUNT = Commands(DEV, profile="robots", region="eu-west-1")
OPTIONS = "--profile robots --region eu-west-1 --deployment dev"

COMMAND = re.compile(r"`(?:gaitway(?: local)?|cdk|aws(?: sso| configure)?) [\w-]+[` ]|`aws configure`")

KNOW_NO_PLACE = {
    # A file is looked at without going anywhere; credentials are asked for before a place is known.
    "gaitway/cli/requests.py": ["`gaitway submit "],
    "gaitway/cli/exits.py": [
        "`aws sso login`",
        "`aws configure`",
        "`gaitway local up`",
        "`aws configure list-profiles`",
    ],
    # It fills a folder, not a deployment.
    "gaitway/simulators/isaaclab3/assets/found.py": ["`gaitway assets "],
    # There is one embedded AWS, whatever deployments it has.
    "gaitway/cli/demo.py": ["`gaitway local down`", "`gaitway local env`"],
    "gaitway/acceptance/checks/teardown.py": ["`gaitway local reset`"],
    "gaitway/settings.py": ["`gaitway local up "],
    # Names of commands, not suggestions.
    "gaitway/cli/doctor.py": ["`cdk deploy`", "`cdk deploy`"],
    "gaitway/client/runs.py": ["`gaitway cancel`"],
    "gaitway/contracts/model.py": ["`gaitway show`"],
    "gaitway/contracts/request.py": ["`gaitway view`"],
    "gaitway/compute/ends.py": ["`gaitway doctor`"],
    # It runs on the cluster.
    "gaitway/cli/orders.py": ["`gaitway agent`"],
    # The caller adds the options of the place.
    "gaitway/cli/account/quotas.py": ["`aws service-quotas "],
    "gaitway/cli/account/clusters.py": ["`cdk deploy`", "`aws iam "],
    "gaitway/cli/account/disk_key.py": ["`aws kms "],
    "gaitway/cli/account/service_roles.py": ["`aws iam "],
    "gaitway/cli/account/vpc.py": ["`aws ec2 "],
}


def test_a_command_goes_to_the_place_and_the_deployment() -> None:
    assert Commands().gaitway("ls") == "gaitway ls"
    assert IN_ACCOUNT.gaitway("show RUN") == f"gaitway show RUN {OPTIONS}"
    assert Commands(DEV, is_embedded=True).gaitway("ls") == "gaitway ls --local --deployment dev"


def test_a_deployment_is_deployed_where_it_is() -> None:
    assert Commands().deploy == "cdk deploy --all"
    assert IN_ACCOUNT.deploy == "AWS_REGION=eu-west-1 cdk deploy --all -c deploymentName=dev --profile robots"
    assert Commands(DEV, is_embedded=True).deploy == "gaitway local up --deployment dev"


def test_commands_of_aws_know_no_deployment() -> None:
    assert IN_ACCOUNT.place == " --profile robots --region eu-west-1"


def test_what_the_environment_names_is_named_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next shell may not have the variable."""
    monkeypatch.setenv(DEPLOYMENT_VARIABLE, "gaitway")
    place = choose_place(local=False, profile=None, region="eu-west-1")
    assert place.commands.gaitway("ls") == "gaitway ls --region eu-west-1 --deployment gaitway"


def client(service: str) -> Any:
    session: Any = boto3.Session("any", "any", region_name="eu-west-1")
    return session.client(service)


def test_what_is_not_deployed_is_deployed_there() -> None:
    cloudformation = client("cloudformation")
    with Stubber(cloudformation) as stub:
        stub.add_client_error("describe_stacks", "ValidationError")
        with pytest.raises(NotDeployedError) as raised:
            read_deployment(cloudformation, IN_ACCOUNT)
    assert IN_ACCOUNT.deploy in str(raised.value)


def test_a_run_that_is_not_found_is_looked_for_there() -> None:
    session: Any = boto3.Session("any", "any", region_name="eu-west-1")
    deployment: Any = type("Deployment", (), {"run_table_name": "any"})
    with pytest.raises(RunNotFoundError) as raised:
        Runs(session, deployment, IN_ACCOUNT).find("run-")
    assert IN_ACCOUNT.gaitway("ls") in str(raised.value)


def test_a_deployment_without_groups_is_updated_there() -> None:
    session: Any = boto3.Session("any", "any", region_name="eu-west-1")
    deployment: Any = type("Deployment", (), {"run_table_name": "any"})
    dynamodb = client("dynamodb")
    session.client = lambda service: dynamodb if service == "dynamodb" else client(service)
    with Stubber(dynamodb) as stub:
        stub.add_client_error("query", "ValidationException", "The table does not have the specified index: by_group")
        with pytest.raises(PlatformError) as raised:
            Runs(session, deployment, IN_ACCOUNT).newest(1, group_id="search-1")
    assert IN_ACCOUNT.deploy in str(raised.value)


def test_a_check_that_fails_names_the_deployment() -> None:
    site: Any = type("Site", (), {"commands": IN_ACCOUNT, "resources": staticmethod(lambda _: [])})
    with pytest.raises(CheckFailedError) as raised:
        dashboard.CHECK.run(site, Findings())
    assert IN_ACCOUNT.deploy in str(raised.value)


def test_what_aws_refuses_speaks_of_no_run() -> None:
    """doctor says the same of a quota."""
    ec2 = client("ec2")
    with Stubber(ec2) as stub:
        stub.add_client_error("describe_subnets", "RequestLimitExceeded", "too many")
        with pytest.raises(Exception, match="too many") as raised:
            ec2.describe_subnets()
    _, words = explain(raised.value)
    assert words == "DescribeSubnets was refused (RequestLimitExceeded: too many). Try again"


def test_no_message_writes_a_command_by_itself() -> None:
    written = {
        str(path.relative_to(ROOT)): found
        for path in sorted((ROOT / "gaitway").rglob("*.py"))
        if path.name != "commands.py" and (found := [*commands_in(path)])
    }
    assert written == KNOW_NO_PLACE


def commands_in(path: Path) -> Iterator[str]:
    """The commands in a file's texts, each up to what a variable fills in; documentation is for readers of the code."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield from COMMAND.findall(node.value)
