"""The bucket of inputs and results, and others that are used in the same way."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from gaitway.names import SYNCHRONISED_RUNS
from stacks.components.findings import acknowledge_wildcard

_SYNCHRONISED_DAYS = 30
"""How long such a directory is kept after its run has written to it last: so long the run can be resumed."""


class AssetBucket(Construct):
    """A private, versioned bucket, and the bucket of its access logs.

    Attributes:
        bucket: The bucket.
    """

    def __init__(self, scope: Construct, construct_id: str, *, others: Sequence[str], keys: Sequence[str]) -> None:
        """Make the bucket.

        Args:
            scope: Parent.
            construct_id: Id.
            others: Names of buckets in the same account that callers keep their files in: permissions on our objects
                also apply to theirs.
            keys: ARNs of the keys with which these buckets encrypt.
        """
        super().__init__(scope, construct_id)
        self._keys = keys
        self._others = [cdk.Fn.join("", ["arn:", cdk.Aws.PARTITION, f":s3:::{name}"]) for name in others]
        access_logs = s3.Bucket(
            self,
            "AccessLogs",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            lifecycle_rules=[s3.LifecycleRule(expiration=cdk.Duration.days(90))],
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        self.bucket = s3.Bucket(
            self,
            "Assets",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            versioned=True,
            server_access_logs_bucket=access_logs,
            lifecycle_rules=[
                s3.LifecycleRule(
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(7),
                    noncurrent_version_expiration=cdk.Duration.days(30),
                )
            ],
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )

    def grant_get(self, role: iam.IRole, objects: str = "*") -> None:
        """Let a role read objects whose keys match a pattern, without listing them."""
        self._grant(role, "s3:GetObject", objects=objects)
        self._grant_keys(role, "kms:Decrypt")

    def grant_read(self, role: iam.IRole, objects: str = "*") -> None:
        """Let a role read objects, find them, and distinguish a missing one from a forbidden one."""
        self.grant_get(role, objects)
        role.add_to_principal_policy(
            iam.PolicyStatement(actions=["s3:ListBucket"], resources=[self.bucket.bucket_arn, *self._others])
        )

    def grant_write(self, role: iam.IRole) -> None:
        """Let a role write objects, and abort a failed upload in parts."""
        self._grant(role, "s3:PutObject", "s3:AbortMultipartUpload")
        # S3 decrypts the parts of an upload to combine them.
        self._grant_keys(role, "kms:GenerateDataKey", "kms:Decrypt")

    def grant_put(self, role: iam.IRole, objects: str) -> None:
        """Let a role write the objects whose keys match a pattern, each in one part."""
        self._grant(role, "s3:PutObject", objects=objects)
        self._grant_keys(role, "kms:GenerateDataKey")

    def grant_synchronise(self, role: iam.IRole, prefix: str) -> None:
        """Let a role keep directories and a prefix of our own bucket the same, in both directions.

        As for checkpoints in docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html, and to delete: what a
        container deletes, SageMaker deletes there (docs.aws.amazon.com/sagemaker/latest/dg/model-checkpoints.html).
        """
        arn = f"{self.bucket.bucket_arn}/{prefix}*"
        actions = ("GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload")
        role.add_to_principal_policy(
            iam.PolicyStatement(actions=[f"s3:{action}" for action in actions], resources=[arn])
        )
        role.add_to_principal_policy(
            iam.PolicyStatement(
                actions=["s3:ListBucket"],
                resources=[self.bucket.bucket_arn],
                conditions={"StringLike": {"s3:prefix": f"{prefix}*"}},
            )
        )
        exported = cdk.Stack.of(self).export_value(self.bucket.bucket_arn)
        acknowledge_wildcard(role, f"{exported}/{prefix}*", "A run's libraries name the files of its directory.")

    def expire_synchronised_runs(self) -> None:
        """Remove the files of runs that SageMaker synchronised, in the end."""
        self.bucket.add_lifecycle_rule(prefix=SYNCHRONISED_RUNS, expiration=cdk.Duration.days(_SYNCHRONISED_DAYS))

    def _grant_keys(self, role: iam.IRole, *actions: str) -> None:
        """Let S3 use the other buckets' keys for a role.

        docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html,
        docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions
        """
        if self._keys:
            role.add_to_principal_policy(
                iam.PolicyStatement(
                    actions=[*actions],
                    resources=[*self._keys],
                    conditions={"StringLike": {"kms:ViaService": "s3.*"}},
                )
            )

    def _grant(self, role: iam.IRole, *actions: str, objects: str = "*") -> None:
        buckets = [self.bucket.bucket_arn, *self._others]
        role.add_to_principal_policy(
            iam.PolicyStatement(actions=[*actions], resources=[f"{arn}/{objects}" for arn in buckets])
        )
        # The finding names our bucket as the other stack's template does: by its export.
        exported = cdk.Stack.of(self).export_value(self.bucket.bucket_arn)
        for arn in (exported, *self._others):
            acknowledge_wildcard(role, f"{arn}/{objects}", "Runs name their inputs and outputs themselves.")
