"""The images of the jobs, built by CodeBuild while the stack is deployed: a laptop need not push 20 GB."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_batch as batch
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs_
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from gaitway.libraries.simulators import Simulator
from gaitway.settings import Settings
from gaitway.sources import dockerignore
from stacks.components.decryption import allow_decrypting
from stacks.components.findings import acknowledge
from stacks.components.function import PipelineFunction
from stacks.components.job_image import JobImage
from stacks.components.lambda_code import LibraryLayer
from stacks.components.logs import lasting_log_group

_ROOT = Path(__file__).parents[2]
_TARGETS: Mapping[Simulator, str] = {"isaaclab-3": "isaaclab-3", "isaaclab-2": "isaaclab"}
"""Stages of the Dockerfile."""
_BUILD_TIMEOUT = cdk.Duration.minutes(50)
"""CloudFormation waits for an hour and no longer:
docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-cloudformation-customresource.html
"""


class ImageBuild(Construct):
    """A repository, a build project, and for each simulator a custom resource that builds when sources have changed.

    Attributes:
        images: The images, by their digests, because a tag may later name another one.
    """

    def __init__(self, scope: Construct, construct_id: str, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        sources = s3_assets.Asset(
            self,
            "Sources",
            path=str(_ROOT),
            exclude=dockerignore(),
            ignore_mode=cdk.IgnoreMode.DOCKER,
        )
        repository = self._repository()
        logs = lasting_log_group(self, "Logs")
        project = self._project(sources, repository, logs)
        function = self._function(project, repository, logs)
        self._built: list[cdk.CustomResource] = []
        self.images: dict[Simulator, JobImage] = {}
        for simulator in settings.built_simulators:
            built = cdk.CustomResource(
                self,
                "ImageIsaacLab3" if simulator == "isaaclab-3" else "Image",
                service_token=function.function_arn,
                resource_type="Custom::GaitwayImage",
                service_timeout=cdk.Duration.hours(1),
                properties={
                    "ProjectName": project.project_name,
                    "RepositoryName": repository.repository_name,
                    "Target": _TARGETS[simulator],
                    # Another tag for other sources: what has been built before is not built again.
                    "ImageTag": f"{simulator}-{sources.asset_hash[:32]}",
                },
            )
            # A new account may run one such build at a time, and a build that waits longer than five minutes fails.
            built.node.add_dependency(*self._built)
            self._built.append(built)
            digest = built.get_att_string("ImageDigest")
            self.images[simulator] = JobImage(f"{repository.repository_uri}@{digest}", repository)

    def wait_for_all_of(self, stack: cdk.Stack) -> None:
        """Build only after everything else in a stack except job definitions and templates, which name the images.

        A build takes most of an hour, and a stack that is rolled back deletes its image: what can fail in seconds must
        fail before. Call this when the stack is complete.
        """
        images = [built.node.default_child for built in self._built]
        paths = [image.node.path for image in images if image is not None]
        for resource in stack.node.find_all():
            # The parameter is the template of training jobs.
            names_image = isinstance(resource, batch.CfnJobDefinition | ssm.CfnParameter) or resource.node.path in paths
            if isinstance(resource, cdk.CfnResource) and not names_image:
                for image in images:
                    assert isinstance(image, cdk.CfnResource)
                    image.add_resource_dependency(resource)

    def _repository(self) -> ecr.Repository:
        return ecr.Repository(
            self,
            "Repository",
            repository_name=self._settings.names.repository,
            image_scan_on_push=True,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            encryption=ecr.RepositoryEncryption.AES_256,
            lifecycle_rules=[
                # The present one, the next one, and those that a rollback or a run of an older deployment still names.
                # All are built from the same sources, and so together.
                ecr.LifecycleRule(
                    description="The newest ten of each simulator",
                    max_image_count=10 * len(self._settings.built_simulators),
                ),
            ],
            # It holds only what a deployment would build again, and is billed as long as it exists.
            removal_policy=cdk.RemovalPolicy.DESTROY,
            empty_on_delete=True,
        )

    def _project(self, sources: s3_assets.Asset, repository: ecr.Repository, logs: logs_.LogGroup) -> codebuild.Project:
        role = self._build_role(sources, repository, logs)
        project = codebuild.Project(
            self,
            "Project",
            project_name=self._settings.names.image_build,
            description="Builds and pushes the images of Gaitway's jobs",
            # The default would allow more: every object of the bucket, reports, other log groups.
            role=role.without_policy_updates(),
            source=codebuild.Source.s3(bucket=sources.bucket, path=sources.s3_object_key),
            build_spec=codebuild.BuildSpec.from_object(
                _build_spec(has_ngc_account=self._settings.ngc_secret_arn is not None)
            ),
            environment=codebuild.BuildEnvironment(
                build_image=codebuild.LinuxBuildImage.STANDARD_7_0,
                # The base image takes 20 GB packed, and twice that unpacked: smaller sizes have 64 GB of disk.
                compute_type=codebuild.ComputeType.LARGE,
                privileged=True,
            ),
            environment_variables={
                "REPOSITORY_URI": codebuild.BuildEnvironmentVariable(value=repository.repository_uri),
                # With Isaac Lab 2 no stack is assembled without it, and no other image asks for it.
                "ACCEPT_EULA": codebuild.BuildEnvironmentVariable(
                    value="Y" if self._settings.accept_nvidia_eula else "N"
                ),
                **self._ngc_variables(),
            },
            cache=codebuild.Cache.local(codebuild.LocalCacheMode.DOCKER_LAYER),
            timeout=_BUILD_TIMEOUT,
            queued_timeout=cdk.Duration.minutes(5),
            logging=codebuild.LoggingOptions(cloud_watch=codebuild.CloudWatchLoggingOptions(log_group=logs)),
        )
        # Else the first build may begin before its role may do anything.
        project.node.add_dependency(role)
        acknowledge(
            project, "CB3", "Docker builds images in privileged containers only; nothing else runs in this one."
        )
        acknowledge(project, "CB4", "A build leaves no artifact but the image, which its repository encrypts.")
        return project

    def _build_role(self, sources: s3_assets.Asset, repository: ecr.Repository, logs: logs_.LogGroup) -> iam.Role:
        role = iam.Role(self, "BuildRole", assumed_by=iam.ServicePrincipal("codebuild.amazonaws.com"))
        # docs.aws.amazon.com/codebuild/latest/userguide/setting-up-service-role.html
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["s3:GetObject", "s3:GetObjectVersion"],
                resources=[sources.bucket.arn_for_objects(sources.s3_object_key)],
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["s3:GetBucketAcl", "s3:GetBucketLocation"], resources=[sources.bucket.bucket_arn]
            )
        )
        # A bootstrap bucket may be encrypted with any key (cdk bootstrap --bootstrap-kms-key-id). With a bucket key S3
        # names the bucket, else the object: docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
        allow_decrypting(
            role,
            service="s3",
            region=cdk.Aws.REGION,
            context_key="aws:s3:arn",
            context_values=[sources.bucket.arn_for_objects(sources.s3_object_key), sources.bucket.bucket_arn],
            reason="Which key the bootstrap bucket has is not known; only these sources can be decrypted, through S3.",
        )
        self._allow_ngc_key(role)
        logs.grant_write(role)
        repository.grant_pull_push(role)
        acknowledge(role, "IAM5[Resource::*]", "ecr:GetAuthorizationToken, to push the image, takes no resource.")
        return role

    def _ngc_variables(self) -> dict[str, codebuild.BuildEnvironmentVariable]:
        """Say where the API key of nvcr.io is: the key itself goes from one command to the next and nowhere else."""
        arn = self._settings.ngc_secret_arn
        if arn is None:
            return {}
        return {
            "NGC_SECRET_ARN": codebuild.BuildEnvironmentVariable(value=arn),
            "NGC_SECRET_REGION": codebuild.BuildEnvironmentVariable(value=_region_of(arn)),
        }

    def _allow_ngc_key(self, role: iam.Role) -> None:
        arn = self._settings.ngc_secret_arn
        if arn is None:
            return
        role.add_to_policy(iam.PolicyStatement(actions=["secretsmanager:GetSecretValue"], resources=[arn]))
        # docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
        allow_decrypting(
            role,
            service="secretsmanager",
            region=_region_of(arn),
            context_key="SecretARN",
            context_values=[arn],
            reason="Which key the secret has is not known; only this secret can be decrypted, through its service.",
        )

    def _function(
        self, project: codebuild.Project, repository: ecr.Repository, logs: logs_.LogGroup
    ) -> lambda_.Function:
        name = self._settings.names.function("build_image")
        function = PipelineFunction(
            self,
            "Function",
            self._settings,
            verb="build_image",
            name=name,
            layer=LibraryLayer(self, "Libraries", self._settings),
            # It waits for the build, and calls itself before its time is over.
            timeout=cdk.Duration.minutes(15),
            environment={},
        )
        function.allow("codebuild:StartBuild", "codebuild:BatchGetBuilds", on=[project.project_arn])
        function.allow("ecr:DescribeImages", on=[repository.repository_arn])
        # What a failed build said last goes into the deployment's error.
        function.allow("logs:GetLogEvents", on=[logs.log_group_arn])
        stack = cdk.Stack.of(self)
        itself = stack.format_arn(
            service="lambda",
            resource="function",
            resource_name=name,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        function.allow("lambda:InvokeFunction", on=[itself])
        function.function.configure_async_invoke(retry_attempts=0)
        return function.function


def _region_of(arn: str) -> str:
    return arn.split(":")[3]


def _build_spec(*, has_ngc_account: bool) -> dict[str, Any]:
    """The build spec; the variables are the project's, and tag and target those of the build."""
    log_in_to_ngc = (
        'aws secretsmanager get-secret-value --secret-id "$NGC_SECRET_ARN" --region "$NGC_SECRET_REGION" '
        "--query SecretString --output text "
        # This is the name of every account there: docs.nvidia.com/ngc/latest/ngc-private-registry-user-guide.html
        "| docker login nvcr.io --username '$oauthtoken' --password-stdin"
    )
    return {
        "version": "0.2",
        "phases": {
            "pre_build": {
                "commands": [
                    'aws ecr get-login-password | docker login --username AWS --password-stdin "${REPOSITORY_URI%%/*}"',
                    *([log_in_to_ngc] if has_ngc_account else []),
                ]
            },
            "build": {
                "commands": [
                    'docker build --file container/Dockerfile --target "$TARGET" --tag "$REPOSITORY_URI:$IMAGE_TAG" '
                    # Without provenance it is one image, and not a list with one image.
                    '--build-arg ACCEPT_EULA="$ACCEPT_EULA" --provenance=false .'
                ],
            },
            "post_build": {
                # This phase also follows a failed build.
                "commands": [
                    'test "$CODEBUILD_BUILD_SUCCEEDING" = 1',
                    'docker push "$REPOSITORY_URI:$IMAGE_TAG"',
                ]
            },
        },
    }
