"""Who may answer the task tokens of waiting executions."""

from __future__ import annotations

from typing import Literal

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from stacks.components.findings import acknowledge_wildcard

_Answer = Literal["Success", "Failure", "Heartbeat"]


def grant_task_answers(role: iam.Role, *answers: _Answer, of: str = "*") -> None:
    """Let a role answer the tokens of a state machine.

    Args:
        role: The role.
        answers: The allowed answers.
        of: Name of the machine; None for all of the account's.
    """
    machines = cdk.Stack.of(role).format_arn(
        service="states", resource="stateMachine", resource_name=of, arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME
    )
    role.add_to_policy(
        iam.PolicyStatement(actions=[f"states:SendTask{answer}" for answer in answers], resources=[machines])
    )
    if of == "*":
        acknowledge_wildcard(
            role,
            machines,
            "The caller's machine is not known here: VAMS generates one per workflow. A token opens one task only.",
        )
