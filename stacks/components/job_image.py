"""Which image a job runs: one that is built in this deployment, or one that is given."""

from __future__ import annotations

import re
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.components.findings import acknowledge

_ECR = re.compile(
    # Of any partition: docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html
    r"^(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<repository>[^:@]+)[:@]"
)


@dataclass(frozen=True)
class JobImage:
    """An image, and its registry."""

    uri: str
    """With its tag or digest."""
    repository: ecr.IRepository | None
    """None if everyone may pull it."""

    @classmethod
    def given(cls, scope: Construct, construct_id: str, uri: str) -> JobImage:
        """Take the image that a setting names.

        Args:
            scope: Parent.
            construct_id: Id.
            uri: With tag or digest. An image of Amazon ECR is pulled with a role, any other without credentials.
        """
        match = _ECR.match(uri)
        if match is None:
            return cls(uri, None)
        # No role of one partition reaches into another.
        arn = f"arn:{cdk.Aws.PARTITION}:ecr:{match['region']}:{match['account']}:repository/{match['repository']}"
        return cls(
            uri,
            ecr.Repository.from_repository_attributes(
                scope, construct_id, repository_arn=arn, repository_name=match["repository"]
            ),
        )

    @property
    def container_image(self) -> ecs.ContainerImage:
        """The image in the form of a container definition."""
        # Not from_ecr_repository: that distinguishes tag and digest by the text, which is known only at deployment.
        return ecs.ContainerImage.from_registry(self.uri)

    def grant_pull(self, role: iam.IRole) -> None:
        """Let a role pull the image."""
        if self.repository is not None:
            self.repository.grant_pull(role)
            acknowledge(role, "IAM5[Resource::*]", "ecr:GetAuthorizationToken, to pull the image, takes no resource.")
