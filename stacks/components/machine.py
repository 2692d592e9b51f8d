"""A state machine: its definition is a file below `statemachines/`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from gaitway.settings import Settings
from stacks.components.findings import acknowledge
from stacks.components.logs import log_group

_DEFINITIONS = Path(__file__).parents[2] / "statemachines"


def machine_name(definition: str) -> str:
    """Name the state machine of a definition."""
    return f"gaitway-{definition}"


class LambdaMachine(Construct):
    """A state machine that calls Lambda functions and nothing else.

    Attributes:
        machine: The state machine.
        logs: Its log group.
        executions_arn: ARN of its executions.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        settings: Settings,
        *,
        definition: str,
        functions: Mapping[str, lambda_.IFunction],
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Make the machine, with a role that may call these functions.

        Args:
            scope: Parent.
            construct_id: Id.
            settings: Settings of the deployment.
            definition: File below `statemachines/`, without `.asl.json`.
            functions: The functions it calls, by the name of the substitution for their ARN.
            names: Further substitutions.
        """
        super().__init__(scope, construct_id)
        name = machine_name(definition)
        self.executions_arn = cdk.Stack.of(self).format_arn(
            service="states",
            resource="execution",
            resource_name=f"{name}:*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        substitutions = {key: function.function_arn for key, function in functions.items()} | dict(names or {})
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("states.amazonaws.com"))
        # Not grant_invoke: that allows every version and alias, too.
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["lambda:InvokeFunction"],
                resources=[function.function_arn for function in functions.values()],
            )
        )
        # Log deliveries to other names fill up a policy of limited size that the whole account shares:
        # docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
        self.logs = log_group(self, "Logs", f"/aws/vendedlogs/states/{name}")
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=name,
            # As text and not as an asset, so that linters see it in the template.
            definition_body=sfn.DefinitionBody.from_string(
                (_DEFINITIONS / f"{definition}.asl.json").read_text(encoding="utf-8")
            ),
            definition_substitutions=substitutions,
            role=role,
            tracing_enabled=settings.tracing,
            logs=sfn.LogOptions(
                destination=self.logs,
                level=sfn.LogLevel.ALL,
                # The data hold task tokens.
                include_execution_data=False,
            ),
        )
        acknowledge(
            role, "IAM5[Resource::*]", "Log delivery and X-Ray take no narrower resource (Step Functions' own policy)."
        )
        if not settings.tracing:
            acknowledge(self.machine, "SF2", "Whoever deploys has turned tracing off.")
