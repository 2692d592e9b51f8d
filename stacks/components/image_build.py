"""The image of the job, built by CodeBuild while the stack is deployed: a laptop need not push 20 GB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs_
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from gaitway.settings import Settings
from stacks.components.findings import acknowledge
from stacks.components.function import PipelineFunction
from stacks.components.job_image import JobImage
from stacks.components.lambda_code import LibraryLayer
from stacks.components.logs import log_group

_ROOT = Path(__file__).parents[2]
_TARGET = "isaaclab"
_FUNCTION = "gaitway-build-image"
_BUILD_TIMEOUT = cdk.Duration.minutes(50)
"""CloudFormation waits for an hour and no longer:
docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-cloudformation-customresource.html
"""


class ImageBuild(Construct):
    """A repository, a build project, and a custom resource that builds when the sources have changed.

    Attributes:
        image: The image, by its digest: a tag could come to mean another one.
    """

    def __init__(self, scope: Construct, construct_id: str, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        sources = s3_assets.Asset(
            self,
            "Sources",
            path=str(_ROOT),
            # What Docker would send to a build on this machine.
            exclude=(_ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()[1:],
            ignore_mode=cdk.IgnoreMode.DOCKER,
        )
        repository = self._repository()
        project = self._project(sources, repository)
        function = self._function(project, repository)
        built = cdk.CustomResource(
            self,
            "Image",
            service_token=function.function_arn,
            resource_type="Custom::GaitwayImage",
            service_timeout=cdk.Duration.hours(1),
            properties={
                "ProjectName": project.project_name,
                "RepositoryName": repository.repository_name,
                # Another tag for other sources: what has been built before is not built again.
                "ImageTag": sources.asset_hash[:32],
            },
        )
        self.image = JobImage(f"{repository.repository_uri}@{built.get_att_string('ImageDigest')}", repository)

    def _repository(self) -> ecr.Repository:
        return ecr.Repository(
            self,
            "Repository",
            repository_name="gaitway",
            image_scan_on_push=True,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            encryption=ecr.RepositoryEncryption.AES_256,
            lifecycle_rules=[
                # The one in use, the one before it, and one to come.
                ecr.LifecycleRule(description="The newest three", max_image_count=3),
            ],
            # It holds nothing that a deployment would not build again, and costs as long as it is there.
            removal_policy=cdk.RemovalPolicy.DESTROY,
            empty_on_delete=True,
        )

    def _project(self, sources: s3_assets.Asset, repository: ecr.Repository) -> codebuild.Project:
        logs = log_group(self, "Logs", "/gaitway/image")
        role = self._build_role(sources, repository, logs)
        project = codebuild.Project(
            self,
            "Project",
            project_name="gaitway-image",
            description="Builds and pushes the image of Gaitway's job",
            # What it would add by itself is wider: every object of the bucket, reports, other log groups.
            role=role.without_policy_updates(),
            source=codebuild.Source.s3(bucket=sources.bucket, path=sources.s3_object_key),
            build_spec=codebuild.BuildSpec.from_object(_build_spec()),
            environment=codebuild.BuildEnvironment(
                build_image=codebuild.LinuxBuildImage.STANDARD_7_0,
                # The base image takes 20 GB packed, and twice that unpacked: smaller sizes have 64 GB of disk.
                compute_type=codebuild.ComputeType.LARGE,
                privileged=True,
            ),
            environment_variables={
                "REPOSITORY_URI": codebuild.BuildEnvironmentVariable(value=repository.repository_uri),
                "TARGET": codebuild.BuildEnvironmentVariable(value=_TARGET),
                # No stack is assembled without it.
                "ACCEPT_EULA": codebuild.BuildEnvironmentVariable(
                    value="Y" if self._settings.accept_nvidia_eula else "N"
                ),
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
        logs.grant_write(role)
        repository.grant_pull_push(role)
        acknowledge(role, "IAM5[Resource::*]", "ecr:GetAuthorizationToken, to push the image, takes no resource.")
        return role

    def _function(self, project: codebuild.Project, repository: ecr.Repository) -> lambda_.Function:
        function = PipelineFunction(
            self,
            "Function",
            self._settings,
            verb="build_image",
            name=_FUNCTION,
            layer=LibraryLayer(self, "Libraries", self._settings),
            # It waits for the build, and calls itself before its time is over.
            timeout=cdk.Duration.minutes(15),
            environment={},
        )
        function.allow("codebuild:StartBuild", "codebuild:BatchGetBuilds", on=[project.project_arn])
        function.allow("ecr:DescribeImages", on=[repository.repository_arn])
        stack = cdk.Stack.of(self)
        itself = stack.format_arn(
            service="lambda",
            resource="function",
            resource_name=_FUNCTION,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        function.allow("lambda:InvokeFunction", on=[itself])
        function.function.configure_async_invoke(retry_attempts=0)
        return function.function


def _build_spec() -> dict[str, Any]:
    """What CodeBuild does; the variables are the project's, and the tag that of the build."""
    return {
        "version": "0.2",
        "phases": {
            "pre_build": {
                "commands": [
                    'aws ecr get-login-password | docker login --username AWS --password-stdin "${REPOSITORY_URI%%/*}"'
                ]
            },
            "build": {
                "commands": [
                    'docker build --file container/Dockerfile --target "$TARGET" --tag "$REPOSITORY_URI:$IMAGE_TAG" '
                    # Without provenance it is one image, and not a list of which it is a part.
                    '--build-arg ACCEPT_EULA="$ACCEPT_EULA" --provenance=false .'
                ],
            },
            "post_build": {
                # This phase comes after a failed build, too.
                "commands": [
                    'test "$CODEBUILD_BUILD_SUCCEEDING" = 1',
                    'docker push "$REPOSITORY_URI:$IMAGE_TAG"',
                ]
            },
        },
    }
