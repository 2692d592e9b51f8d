"""VAMS, the Visual Asset Management System, in the same account: our pipelines in its list."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from gaitway.contracts.limits import REGISTRATION_SECONDS
from gaitway.contracts.vams import registrations
from gaitway.settings import Settings
from stacks.components.function import PipelineFunction
from stacks.components.lambda_code import LibraryLayer

_CALL = cdk.Duration.seconds(REGISTRATION_SECONDS)


class VamsRegistration(Construct):
    """A custom resource for each of our pipelines, whose function registers it through VAMS's own function."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        settings: Settings,
        *,
        import_function_name: str,
        launch: lambda_.Function,
        layer: LibraryLayer,
    ) -> None:
        """Register the pipelines, and let VAMS call them.

        Args:
            scope: Parent.
            construct_id: Id.
            settings: Settings of the deployment.
            import_function_name: VAMS's function.
            launch: The function that VAMS calls to run a pipeline.
            layer: The libraries.
        """
        super().__init__(scope, construct_id)
        stack = cdk.Stack.of(self)
        function = PipelineFunction(
            self,
            "Function",
            settings,
            verb="register_with_vams",
            name=settings.names.function("register_with_vams"),
            layer=layer,
            timeout=_CALL,
            environment={},
        )
        import_function = stack.format_arn(
            service="lambda",
            resource="function",
            resource_name=import_function_name,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        function.allow("lambda:InvokeFunction", on=[import_function])
        # VAMS's machines call it with a role that has a generated name and may call every function of the account with
        # "vams" in its name. The account as principal allows only callers whose own policy also allows the call. A
        # service or a machine cannot be named instead, since the call comes from that role.
        launch.add_permission("Vams", principal=iam.AccountPrincipal(stack.account))
        for registration in registrations(launch.function_name, settings.names):
            resource = cdk.CustomResource(
                self,
                registration.pipeline_id,
                service_token=function.function.function_arn,
                resource_type="Custom::VamsPipeline",
                service_timeout=_CALL.plus(cdk.Duration.minutes(1)),
                properties={
                    "importFunctionName": import_function_name,
                    **registration.model_dump(mode="json", by_alias=True),
                },
            )
            # VAMS may start a run as soon as it knows the pipeline.
            resource.node.add_dependency(launch)
