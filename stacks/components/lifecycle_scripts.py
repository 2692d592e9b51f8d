"""Where HyperPod finds what it runs on each new node: `lifecycle/`."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import aws_s3_deployment as s3_deployment
from constructs import Construct

from gaitway.settings import Settings
from gaitway.sources import PACKAGE
from stacks.components.findings import acknowledge, acknowledge_wildcard
from stacks.components.logs import log_group

_ROOT = Path(__file__).parents[2]


class LifecycleScripts(Construct):
    """A bucket with the scripts, and the package for a controller.

    Attributes:
        entry: Name of the script that HyperPod runs.
        uri: Where it is.
    """

    entry = "on_init_complete.sh"

    def __init__(
        self, scope: Construct, construct_id: str, settings: Settings, *, folder: str, controller_group: str | None
    ) -> None:
        """Make it.

        Args:
            scope: Parent.
            construct_id: Id.
            settings: Settings of the deployment.
            folder: Of the scripts, below `lifecycle/`.
            controller_group: The instance group with the agent; None where the agent is a pod.
        """
        super().__init__(scope, construct_id)
        stack = cdk.Stack.of(self)
        stack_id = cdk.Fn.select(2, cdk.Fn.split("/", stack.stack_id))
        self._bucket = s3.Bucket(
            self,
            "Bucket",
            # HyperPod wants this beginning: .../sagemaker/latest/APIReference/API_ClusterLifeCycleConfig.html. The end
            # is the stack's, since all buckets of all accounts share their names.
            bucket_name=f"sagemaker-{settings.deployment_name}-{cdk.Fn.select(4, cdk.Fn.split('-', stack_id))}",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        acknowledge(self._bucket, "S1", "It holds scripts that the deployment writes, and nodes of the cluster read.")
        sources = [s3_deployment.Source.asset(str(_ROOT / "lifecycle" / folder))]
        self._package: s3_assets.Asset | None = None
        if controller_group is not None:
            self._package = s3_assets.Asset(
                self,
                "Package",
                path=str(_ROOT),
                exclude=["*", *(f"!{path}" for path in PACKAGE), "**/__pycache__"],
                ignore_mode=cdk.IgnoreMode.DOCKER,
            )
            told = {
                "deployment": settings.deployment_name,
                "region": stack.region,
                "controller_group": controller_group,
                "package": self._package.s3_object_url,
            }
            sources.append(s3_deployment.Source.json_data("gaitway.json", told))
        deployment = s3_deployment.BucketDeployment(
            self,
            "Deployment",
            sources=sources,
            destination_bucket=self._bucket,
            log_group=log_group(self, "Logs", settings.names.logs(f"lifecycle-{folder}")),
            # So that the bucket can go with its stack.
            retain_on_delete=False,
        )
        self.uri = f"s3://{self._bucket.bucket_name}/"
        self._acknowledge(deployment)

    def grant_read(self, policy: iam.Policy) -> None:
        """Let nodes read it."""
        objects = self._bucket.arn_for_objects("*")
        policy.add_statements(
            iam.PolicyStatement(actions=["s3:ListBucket"], resources=[self._bucket.bucket_arn]),
            iam.PolicyStatement(actions=["s3:GetObject"], resources=[objects]),
        )
        acknowledge_wildcard(policy, objects, "All of them are scripts for the nodes.")
        if self._package is not None:
            package = self._package.bucket.arn_for_objects(self._package.s3_object_key)
            policy.add_statements(iam.PolicyStatement(actions=["s3:GetObject"], resources=[package]))

    def _acknowledge(self, deployment: s3_deployment.BucketDeployment) -> None:
        """Accept what the CDK's own function for this may do, and that it runs on a Python of the CDK's choice."""
        role = deployment.handler_role
        function = role.node.scope
        assert function is not None
        acknowledge(function, "L1", "The CDK chooses its runtime.")
        acknowledge(
            role,
            "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]",
            "It is the CDK's, and lets the function write its logs.",
        )
        for action in ("GetObject*", "GetBucket*", "List*", "DeleteObject*", "Abort*"):
            acknowledge(
                role, f"IAM5[Action::s3:{action}]", "The CDK's function copies from its bucket of assets to ours."
            )
        for arn in (_assets_of_the_cdk(self), self._bucket.arn_for_objects("*")):
            acknowledge_wildcard(role, arn, "The CDK's function copies from its bucket of assets to ours.")


def _assets_of_the_cdk(scope: Construct) -> str:
    """Return the ARN of all objects in the bucket in which the CDK keeps what stacks need.

    docs.aws.amazon.com/cdk/v2/guide/bootstrapping-customizing.html
    """
    stack = cdk.Stack.of(scope)
    name = cdk.DefaultStackSynthesizer.DEFAULT_FILE_ASSETS_BUCKET_NAME
    for word, value in (
        ("${Qualifier}", cdk.DefaultStackSynthesizer.DEFAULT_QUALIFIER),
        ("${AWS::AccountId}", stack.account),
        ("${AWS::Region}", stack.region),
    ):
        name = name.replace(word, value)
    return f"arn:{cdk.Aws.PARTITION}:s3:::{name}/*"
