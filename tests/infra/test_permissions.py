"""Who may do what: as little as their work needs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.infra.templates import ROOT, Allowed, Resource, Synthesis, batch_arn, states

_TASK_ANSWERS = "arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:stateMachine:*"
_EXECUTIONS = "arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution:gaitway-pipeline:*"
_OBJECTS = "<AssetBucket/Assets.Arn>/*"
_LOGS_AND_TRACES = ("logs:", "xray:")


def definition(machine: Resource) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(machine.properties["DefinitionString"])
    return parsed


def called_by(aws: Synthesis, machine: Resource) -> dict[str, Allowed]:
    """What the tasks of a machine call, by the state's name, read from its definition as it is deployed."""
    substitutions = {
        "${" + name + "}": aws.text(machine.stack, value)
        for name, value in machine.properties["DefinitionSubstitutions"].items()
    }
    called = {}
    for name, state in states(definition(machine)):
        if state["Type"] != "Task":
            continue
        arguments = state.get("Parameters") or state.get("Arguments") or {}
        integration = substitutions.get(state["Resource"], "").removesuffix(".waitForTaskToken")
        if integration == "arn:<AWS::Partition>:states:::lambda:invoke":
            called[name] = Allowed("lambda:InvokeFunction", substitutions[arguments["FunctionName"]])
        else:
            pytest.fail(f"say here which permission state {name} needs for {state['Resource']}")
    return called


@pytest.mark.parametrize("name", ["Pipeline", "Workflow"])
def test_a_machine_may_call_what_it_calls_and_nothing_else(aws: Synthesis, name: str) -> None:
    machine = aws.resource("AWS::StepFunctions::StateMachine", name)
    allowed = {grant for grant in aws.allowed(f"{name}/Role") if not grant.action.startswith(_LOGS_AND_TRACES)}
    called = set(called_by(aws, machine).values())
    assert called
    assert allowed == called


def test_every_state_of_the_pipeline_calls_the_function_of_its_name(aws: Synthesis) -> None:
    called = called_by(aws, aws.resource("AWS::StepFunctions::StateMachine", "Pipeline"))
    functions = {
        **{name: name for name in ("ConstructRun", "SubmitJob", "HandleFailure", "TellCaller")},
        # One function takes the steps after the job.
        **dict.fromkeys(("CheckResults", "PublishResults", "ConcludeRun"), "CollectResults"),
    }
    assert {state: grant.resource for state, grant in called.items()} == {
        state: f"<{name}/Function.Arn>" for state, name in functions.items()
    }


@pytest.mark.parametrize("name", ["Pipeline", "Workflow"])
def test_a_machine_is_given_exactly_the_names_that_its_definition_asks_for(aws: Synthesis, name: str) -> None:
    machine = aws.resource("AWS::StepFunctions::StateMachine", name).properties
    used = {part.partition("}")[0] for part in machine["DefinitionString"].split("${")[1:]}
    assert used == set(machine["DefinitionSubstitutions"])


def test_wildcards_stand_only_where_aws_offers_nothing_narrower(aws: Synthesis) -> None:
    wild = {grant for grant in aws.allowed() if "*" in grant.action or "*" in grant.resource}
    assert {grant for grant in wild if not grant.action.startswith(_LOGS_AND_TRACES)} == {
        Allowed("batch:DescribeJobs", "*"),
        Allowed("batch:ListJobs", "*"),
        Allowed("cloudwatch:PutMetricData", "*"),
        Allowed("ec2:AssignPrivateIpAddresses", "*"),
        Allowed("ec2:CreateNetworkInterface", "*"),
        Allowed("ec2:DeleteNetworkInterface", "*"),
        Allowed("ec2:DescribeNetworkInterfaces", "*"),
        Allowed("ec2:DescribeSubnets", "*"),
        Allowed("ec2:UnassignPrivateIpAddresses", "*"),
        Allowed("ecr:GetAuthorizationToken", "*"),
        # With conditions: see tests/infra/test_image.py.
        Allowed("kms:Decrypt", "arn:<AWS::Partition>:kms:<AWS::Region>:*:key/*"),
        Allowed("s3:GetObject", _OBJECTS),
        Allowed("s3:GetObject", "<AssetBucket/Assets.Arn>/pipelines/workflowExecutionInputs/*"),
        Allowed("s3:PutObject", _OBJECTS),
        Allowed("s3:PutObject", "<AssetBucket/Assets.Arn>/*.metadata.json"),
        Allowed("s3:AbortMultipartUpload", _OBJECTS),
        Allowed("states:SendTaskSuccess", _TASK_ANSWERS),
        Allowed("states:SendTaskFailure", _TASK_ANSWERS),
        Allowed("states:SendTaskHeartbeat", _TASK_ANSWERS),
        Allowed("states:DescribeExecution", _EXECUTIONS),
        Allowed("states:StopExecution", _EXECUTIONS),
        Allowed("batch:SubmitJob", batch_arn("job-definition", "gaitway-single-node:*")),
        Allowed("batch:SubmitJob", batch_arn("job-definition", "gaitway-multi-node:*")),
        Allowed("batch:SubmitJob", batch_arn("job-definition", "gaitway-single-node-isaaclab-3:*")),
        Allowed("batch:SubmitJob", batch_arn("job-definition", "gaitway-multi-node-isaaclab-3:*")),
        Allowed("batch:TagResource", batch_arn("job", "*")),
        Allowed("batch:TerminateJob", batch_arn("job", "*")),
    }


def test_the_only_managed_policy_is_that_of_the_ecs_agent(aws: Synthesis) -> None:
    managed = [
        aws.text(role.stack, policy)
        for role in aws.resources("AWS::IAM::Role")
        for policy in role.properties.get("ManagedPolicyArns", [])
    ]
    assert managed == ["arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"]


def test_people_can_enter_an_instance_only_where_the_settings_allow_a_live_view(
    aws: Synthesis, embedded: Synthesis
) -> None:
    assert aws.allowed("GpuInstances/Role") == set()
    # docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html
    assert embedded.allowed("GpuInstances/Role") == {
        Allowed(action, "*")
        for action in (
            "ssm:UpdateInstanceInformation",
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
        )
    }


def test_findings_are_acknowledged_where_they_are_found_and_with_a_reason(aws: Synthesis) -> None:
    import aws_cdk as cdk

    key = cdk.Validations.ACKNOWLEDGED_RULES_METADATA_KEY
    acknowledged = [
        (construct, rule, reason)
        for construct in aws.app.node.find_all()
        for entry in construct.node.metadata
        if entry.type == key
        for rule, reason in entry.data.items()
        if "AwsSolutions" in rule
    ]
    assert acknowledged
    for construct, rule, reason in acknowledged:
        assert not isinstance(construct, cdk.Stack | cdk.App), (construct.node.path, rule)
        assert len(reason) > 30, (construct.node.path, rule)


def test_jobs_are_submitted_to_our_queues_with_our_definitions_only(aws: Synthesis) -> None:
    submitted = {grant.resource for grant in aws.allowed() if grant.action == "batch:SubmitJob"}
    assert submitted == {
        batch_arn("job-queue", queue.properties["JobQueueName"]) for queue in aws.resources("AWS::Batch::JobQueue")
    } | {
        # Without the revision it would allow nothing:
        # docs.aws.amazon.com/batch/latest/userguide/iam-example-restrict-job-submission.html
        batch_arn("job-definition", f"{one.properties['JobDefinitionName']}:*")
        for one in aws.resources("AWS::Batch::JobDefinition")
    }


_DOCUMENTED = re.compile(r"^\| `(?P<role>\w+/\w+)` \|(?P<actions>[^|]+)\|", re.MULTILINE)


def test_what_each_step_of_a_run_may_do_is_what_is_documented(aws: Synthesis) -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    documented = {row["role"]: set(re.findall(r"`(\S+)`", row["actions"])) for row in _DOCUMENTED.finditer(page)}
    allowed = {
        role.name: {grant.action for grant in aws.allowed(role.name) if not grant.action.startswith(_LOGS_AND_TRACES)}
        for role in aws.resources("AWS::IAM::Role")
        if role.stack == "GaitwayPipeline" or role.name.startswith("SimulationJob/")
    }
    # Pulls the image and writes the job's log.
    del allowed["SimulationJob/ExecutionRole"]
    assert allowed == documented


def test_a_job_may_do_what_its_run_needs_and_only_by_becoming_it(aws: Synthesis) -> None:
    run_access = aws.resource("AWS::IAM::Role", "SimulationJob/RunAccess")
    (trust,) = run_access.properties["AssumeRolePolicyDocument"]["Statement"]
    assert aws.text(run_access.stack, trust["Principal"]["AWS"]) == "<SimulationJob/Role.Arn>"
    assert Allowed("sts:AssumeRole", "<SimulationJob/RunAccess.Arn>") in aws.allowed("SimulationJob/Role")
    machine = _TASK_ANSWERS.replace("*", "gaitway-pipeline")
    assert aws.allowed("SimulationJob/RunAccess") == {
        Allowed("batch:DescribeJobs", "*"),
        Allowed("cloudwatch:PutMetricData", "*"),
        Allowed("dynamodb:GetItem", "<RunTable/Runs.Arn>"),
        Allowed("dynamodb:UpdateItem", "<RunTable/Runs.Arn>"),
        Allowed("s3:AbortMultipartUpload", _OBJECTS),
        Allowed("s3:GetObject", _OBJECTS),
        Allowed("s3:PutObject", _OBJECTS),
        Allowed("states:SendTaskHeartbeat", _TASK_ANSWERS),
        Allowed("states:SendTaskSuccess", machine),
        Allowed("states:SendTaskFailure", machine),
    }
    assert aws.resource("AWS::StepFunctions::StateMachine", "Pipeline").properties["StateMachineName"] in machine


def test_only_who_tells_callers_may_end_the_tasks_of_any_machine(aws: Synthesis) -> None:
    ends = {"states:SendTaskSuccess", "states:SendTaskFailure"}
    tells_callers = {
        role.name
        for role in aws.resources("AWS::IAM::Role")
        if any(grant.action in ends and grant.resource == _TASK_ANSWERS for grant in aws.allowed(role.name))
    }
    assert tells_callers == {"Launch/Role", "CollectResults/Role", "HandleFailure/Role", "TellCaller/Role"}


def test_jobs_of_another_deployment_are_neither_ended_nor_tagged(aws: Synthesis) -> None:
    conditions = {
        (action, json.dumps(statement.get("Condition")))
        for policy in aws.resources("AWS::IAM::Policy")
        for statement in policy.properties["PolicyDocument"]["Statement"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        if action in ("batch:TerminateJob", "batch:TagResource")
    }
    assert conditions == {
        ("batch:TerminateJob", json.dumps({"StringEquals": {"aws:ResourceTag/GaitwayDeployment": "gaitway"}})),
        ("batch:TagResource", json.dumps({"StringEquals": {"aws:RequestTag/GaitwayDeployment": "gaitway"}})),
    }
