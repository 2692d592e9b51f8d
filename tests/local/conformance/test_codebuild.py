"""Builds of the embedded CodeBuild.

docs.aws.amazon.com/codebuild/latest/userguide/view-build-details.html (phases), .../build-spec-ref.html (commands),
.../build-env-ref-env-vars.html, .../setting-up-service-role.html.
"""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from typing import Any

from tests.local.conformance.workflow import ROLE_ARN, create_any_role, until
from tests.local.emulator import Emulator

Json = dict[str, Any]


class Project:
    """A project with sources in S3 and a log group of CloudFormation's."""

    def __init__(self, emulator: Emulator, role: str = ROLE_ARN, **phases: list[str]) -> None:
        create_any_role(emulator.client("iam"))
        self.client, self.logs = emulator.client("codebuild"), emulator.client("logs")
        self.name = f"project-{uuid.uuid4().hex[:8]}"
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as sources:
            sources.writestr("word.txt", "from the sources")
        s3 = emulator.client("s3")
        s3.create_bucket(Bucket=self.name)
        s3.put_object(Bucket=self.name, Key="sources.zip", Body=archive.getvalue())
        spec = {"version": "0.2", "phases": {name: {"commands": commands} for name, commands in phases.items()}}
        template = {
            "Resources": {
                "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": f"/builds/{self.name}"}},
                "Project": {
                    "Type": "AWS::CodeBuild::Project",
                    "Properties": {
                        "Name": self.name,
                        "ServiceRole": role,
                        "Artifacts": {"Type": "NO_ARTIFACTS"},
                        "Environment": {
                            "Type": "LINUX_CONTAINER",
                            "ComputeType": "BUILD_GENERAL1_SMALL",
                            "Image": "aws/codebuild/standard:7.0",
                            "EnvironmentVariables": [{"Name": "WORD", "Type": "PLAINTEXT", "Value": "of the project"}],
                        },
                        "Source": {
                            "Type": "S3",
                            "Location": f"{self.name}/sources.zip",
                            "BuildSpec": json.dumps(spec),
                        },
                        "LogsConfig": {"CloudWatchLogs": {"Status": "ENABLED", "GroupName": {"Ref": "Logs"}}},
                    },
                },
            }
        }
        cloudformation = emulator.client("cloudformation")
        cloudformation.create_stack(StackName=self.name, TemplateBody=json.dumps(template))
        cloudformation.get_waiter("stack_create_complete").wait(StackName=self.name, WaiterConfig={"Delay": 0.1})

    def build(self, **request: Any) -> Json:
        """Run a build to its end."""
        build_id = self.client.start_build(projectName=self.name, **request)["build"]["id"]
        until(lambda: self.described(build_id)["buildStatus"] != "IN_PROGRESS")
        return self.described(build_id)

    def described(self, build_id: str) -> Json:
        build: Json = self.client.batch_get_builds(ids=[build_id])["builds"][0]
        return build

    def log(self, build: Json) -> str:
        where = {"logGroupName": build["logs"]["groupName"], "logStreamName": build["logs"]["streamName"]}
        return "".join(event["message"] for event in self.logs.get_log_events(**where)["events"])


def failed(build: Json) -> dict[str, Json]:
    """The phases of a build that failed, with their contexts."""
    return {
        phase["phaseType"]: phase["contexts"][0]
        for phase in build["phases"]
        if phase.get("phaseStatus") == "FAILED" and "contexts" in phase
    }


def test_a_build_runs_its_commands_on_its_sources_and_logs_what_they_print(emulator: Emulator) -> None:
    project = Project(emulator, pre_build=["echo first"], build=['echo "$(cat word.txt), $WORD, $MORE"'])
    build = project.build(environmentVariablesOverride=[{"name": "MORE", "value": "of the build"}])
    assert build["buildStatus"] == "SUCCEEDED"
    assert build["logs"]["groupName"] == f"/builds/{project.name}"
    log = project.log(build)
    assert log.index("first\n") < log.index("from the sources, of the project, of the build\n")
    assert "Phase complete: BUILD State: SUCCEEDED" in log


def test_after_a_failed_build_its_post_build_comes_and_knows(emulator: Emulator) -> None:
    project = Project(
        emulator, build=["exit 3", "echo never"], post_build=["echo succeeding=$CODEBUILD_BUILD_SUCCEEDING"]
    )
    build = project.build()
    assert build["buildStatus"] == "FAILED"
    message = "Error while executing command: exit 3. Reason: exit status 3"
    assert failed(build) == {"BUILD": {"statusCode": "COMMAND_EXECUTION_ERROR", "message": message}}
    log = project.log(build)
    assert "succeeding=0\n" in log
    assert "never\n" not in log


def test_after_a_failed_pre_build_nothing_is_built(emulator: Emulator) -> None:
    project = Project(emulator, pre_build=["false"], build=["echo never"], post_build=["echo neither"])
    build = project.build()
    assert list(failed(build)) == ["PRE_BUILD"]
    assert "BUILD" not in {phase["phaseType"] for phase in build["phases"]}


def test_a_build_that_is_repeated_with_its_token_is_the_same(emulator: Emulator) -> None:
    project = Project(emulator, build=["true"])
    token = uuid.uuid4().hex
    assert project.build(idempotencyToken=token)["id"] == project.build(idempotencyToken=token)["id"]


def test_a_build_may_do_what_its_role_may(emulator: Emulator) -> None:
    iam, name = emulator.client("iam"), f"role-{uuid.uuid4().hex[:8]}"
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "codebuild.amazonaws.com"}}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": trust}))["Role"]["Arn"]
    project = Project(emulator, role, build=["true"])
    assert failed(project.build())["PROVISIONING"]["statusCode"] == "ACCESS_DENIED"
    # As the CDK names a group, and so its streams.
    group = f"arn:aws:logs:us-east-1:000000000000:log-group:/builds/{project.name}:*"
    logs = {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": group}
    iam.put_role_policy(RoleName=name, PolicyName="logs", PolicyDocument=json.dumps({"Statement": logs}))
    assert failed(project.build())["DOWNLOAD_SOURCE"]["statusCode"] == "CLIENT_ERROR"
    objects = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{project.name}/*"}
    iam.put_role_policy(RoleName=name, PolicyName="s3", PolicyDocument=json.dumps({"Statement": objects}))
    assert project.build()["buildStatus"] == "SUCCEEDED"


def test_a_build_that_is_stopped_ends(emulator: Emulator) -> None:
    project = Project(emulator, build=["echo begun; sleep 60"])
    build_id = project.client.start_build(projectName=project.name)["build"]["id"]
    until(lambda: "begun\n" in log_so_far(project, build_id))
    project.client.stop_build(id=build_id)
    assert project.described(build_id)["buildStatus"] == "STOPPED"
    until(lambda: "exit status" in log_so_far(project, build_id))


def log_so_far(project: Project, build_id: str) -> str:
    """Read a log whose stream may not be there yet."""
    try:
        return project.log(project.described(build_id))
    except project.logs.exceptions.ResourceNotFoundException:
        return ""
