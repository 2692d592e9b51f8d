"""GaitwayStorage: what outlives a run."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from gaitway.settings import Settings
from stacks.components.asset_bucket import AssetBucket
from stacks.components.file_system import RunFileSystem
from stacks.components.network import Network
from stacks.components.run_table import RunTable


class StorageStack(cdk.Stack):
    """Bucket, file system and run table.

    Attributes:
        assets: Inputs and results.
        file_system: The runs' directories.
        runs: The runs' records.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        settings: Settings,
        network: Network,
        *,
        env: cdk.Environment | None,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            env=env,
            stack_name=settings.names.stack("Storage"),
            description="Gaitway: storage",
        )
        self.assets = AssetBucket(self, "AssetBucket", others=settings.asset_buckets, keys=settings.asset_bucket_keys)
        if settings.sagemaker_synchronises:
            self.assets.expire_synchronised_runs()
        self.runs = RunTable(self, "RunTable")
        self.file_system = RunFileSystem(
            self,
            "RunFileSystem",
            vpc=network.vpc,
            subnets=network.file_system_subnets,
            zones=network.file_system_zones,
            security_group=network.file_system_security_group,
            has_training_jobs=settings.sagemaker_mounts,
        )
        cdk.CfnOutput(self, "AssetBucketName", value=self.assets.bucket.bucket_name)
        cdk.CfnOutput(self, "RunTableName", value=self.runs.table.table_name)
