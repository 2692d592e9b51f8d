"""A state machine: `statemachines/` builds its definition."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from gaitway.settings import Settings
from stacks.components.findings import acknowledge
from stacks.components.logs import log_group
from statemachines.machines import render
from statemachines.states import arn_name


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
            definition: Name of a machine in `statemachines/machines.py`.
            functions: The functions that it calls, by their names in the definition.
            names: Further substitutions.
        """
        super().__init__(scope, construct_id)
        name = settings.names.machine(definition)
        self.executions_arn = cdk.Stack.of(self).format_arn(
            service="states",
            resource="execution",
            resource_name=f"{name}:*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        text = render(definition)
        substitutions = {
            **{name: arn for name, arn in _integrations().items() if f"${{{name}}}" in text},
            **{arn_name(name): function.function_arn for name, function in functions.items()},
            **(names or {}),
        }
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("states.amazonaws.com"))
        # Not grant_invoke: that allows every version and alias, too.
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["lambda:InvokeFunction"],
                resources=[function.function_arn for function in functions.values()],
            )
        )
        self.logs = log_group(self, "Logs", settings.names.machine_logs(definition))
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=name,
            # As text and not as an asset, so that linters see it in the template.
            definition_body=sfn.DefinitionBody.from_string(text),
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
            acknowledge(self.machine, "SF2", "Tracing is turned off in the settings.")


def _integrations() -> dict[str, str]:
    """The ways in which Step Functions calls a function, by the substitution for them: they name the partition."""
    invoke = f"arn:{cdk.Aws.PARTITION}:states:::lambda:invoke"
    return {"LambdaInvoke": invoke, "LambdaInvokeWaitForTaskToken": f"{invoke}.waitForTaskToken"}
