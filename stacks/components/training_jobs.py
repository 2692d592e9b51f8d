"""SageMaker training jobs through a queue of AWS Batch, where the setting `backends` has `sagemaker`."""

from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_batch as batch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from gaitway.contracts.limits import LONGEST_RUN_SECONDS
from gaitway.names import CHECKPOINTS_PATH, SYNCHRONISED_RUNS
from gaitway.settings import Settings
from stacks.components.asset_bucket import AssetBucket
from stacks.components.file_system import RUNS_PATH, RunFileSystem
from stacks.components.findings import acknowledge, acknowledge_wildcard
from stacks.components.network import Network
from stacks.components.simulation_job import SimulationJob

_CHANNEL = "runs"
_MOUNT_PATH = f"/opt/ml/input/data/{_CHANNEL}"
"""Where SageMaker mounts the file system:
docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html"""
_ENTRYPOINT = "/opt/gaitway/src/container/entrypoint.sh"
"""That of the image. Without one, SageMaker adds the argument `train`:
docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-dockerfile.html"""
OUTPUT_PREFIX = "sagemaker/"
"""Where SageMaker puts what is left in a container's /opt/ml/model, in the asset bucket: nothing of ours."""
_VOLUME_GB = 200
"""For the image of some 20 GB and temporary files. Instances with disks of their own use those, which are larger:
docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html"""
METRICS = {
    "iteration": r"(?:Trained iterations: |Learning iteration )([0-9]+)/",
    "episodes": r"Evaluated episodes: ([0-9]+)/",
    "mean_reward": r"[Mm]ean reward:? +([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)",
    "steps_per_second": r"([0-9.]+) steps/s",
}
"""What SageMaker's console shows of a training: by name, where it stands in the log."""
_VPC_ACTIONS = (
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeVpcs",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeSubnets",
    "ec2:DescribeSecurityGroups",
)
"""docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createtrainingjob-perms"""


class TrainingJobs(Construct):
    """The queue, its limit, the role of training jobs, and what all of them have in common.

    That is a parameter in Systems Manager, which submit_job reads for each job and knows by its name: as job
    definitions, it changes with the image.

    Attributes:
        role: The role of training jobs: SageMaker starts them with it, and they may assume the run's role.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        settings: Settings,
        *,
        network: Network,
        file_system: RunFileSystem,
        assets: AssetBucket,
        job: SimulationJob,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._file_system = file_system
        self._assets = assets
        self.role = self._role(job)
        names = settings.names
        environment = batch.CfnServiceEnvironment(
            self,
            "Environment",
            service_environment_name=names.training_environment,
            service_environment_type="SAGEMAKER_TRAINING",
            capacity_limits=[
                batch.CfnServiceEnvironment.CapacityLimitProperty(
                    capacity_unit="NUM_INSTANCES", max_capacity=settings.sagemaker_max_instances
                )
            ],
        )
        # Groups of runs share the queue fairly: what a group has used lately counts, and less with time.
        policy = batch.CfnSchedulingPolicy(
            self,
            "Shares",
            name=names.training_environment,
            fairshare_policy=batch.CfnSchedulingPolicy.FairsharePolicyProperty(share_decay_seconds=3600),
        )
        batch.CfnJobQueue(
            self,
            "Queue",
            job_queue_name=names.training_queue,
            job_queue_type="SAGEMAKER_TRAINING",
            priority=1,
            scheduling_policy_arn=policy.attr_arn,
            service_environment_order=[
                batch.CfnJobQueue.ServiceEnvironmentOrderProperty(
                    order=1, service_environment=environment.attr_service_environment_arn
                )
            ],
        )
        ssm.CfnParameter(
            self,
            "Template",
            name=names.training_template,
            description="Gaitway: what all SageMaker training jobs have in common",
            type="String",
            # A standard parameter holds 4 KiB: docs.aws.amazon.com/general/latest/gr/ssm.html
            tier="Intelligent-Tiering",
            value=cdk.Stack.of(self).to_json_string(
                {
                    "jobQueue": names.training_queue,
                    "attempts": job.attempts,
                    "instanceTypes": settings.sagemaker_types,
                    "waitSeconds": LONGEST_RUN_SECONDS if settings.use_spot else 0,
                    "tags": names.job_tags,
                    **({"runsUri": self._uri(SYNCHRONISED_RUNS)} if settings.sagemaker_synchronises else {}),
                    "images": job.image_uris,
                    "trainingJob": self._training_job(network, job),
                }
            ),
        )

    def _training_job(self, network: Network, job: SimulationJob) -> dict[str, Any]:
        """Write the request of CreateTrainingJob, without what depends on the run."""
        settings = self._settings
        resources: dict[str, Any] = {"VolumeSizeInGB": _VOLUME_GB}
        if settings.sagemaker_warm_seconds:
            resources["KeepAlivePeriodInSeconds"] = settings.sagemaker_warm_seconds
        environment = job.environment | {
            "GAITWAY_BACKEND": "sagemaker",
            "GAITWAY_EFS_ROOT": f"{_MOUNT_PATH}{RUNS_PATH}" if settings.sagemaker_mounts else CHECKPOINTS_PATH,
            "GAITWAY_MANAGED_SPOT": json.dumps(settings.use_spot),
        }
        return {
            "AlgorithmSpecification": {
                "TrainingInputMode": "File",
                "ContainerEntrypoint": [_ENTRYPOINT],
                "MetricDefinitions": [{"Name": name, "Regex": regex} for name, regex in METRICS.items()],
                "EnableSageMakerMetricsTimeSeries": True,
            },
            "RoleArn": self.role.role_arn,
            **(self._mount(network) if settings.sagemaker_mounts else {}),
            "OutputDataConfig": {"S3OutputPath": self._uri(OUTPUT_PREFIX)},
            "ResourceConfig": resources,
            "EnableManagedSpotTraining": settings.use_spot,
            "Environment": environment,
        }

    def _mount(self, network: Network) -> dict[str, Any]:
        """Write the part that mounts the file system: SageMaker reaches it in a VPC only."""
        groups = (network.compute_security_group, network.nodes_security_group)
        return {
            "InputDataConfig": [
                {
                    "ChannelName": _CHANNEL,
                    "DataSource": {
                        "FileSystemDataSource": {
                            "FileSystemId": self._file_system.file_system.file_system_id,
                            "FileSystemType": "EFS",
                            # Not the directory of runs: mounting one that does not exist yet fails.
                            "DirectoryPath": "/",
                            "FileSystemAccessMode": "rw",
                        }
                    },
                }
            ],
            "VpcConfig": {
                "Subnets": network.vpc.select_subnets(subnets=network.compute_subnets.subnets).subnet_ids,
                "SecurityGroupIds": [group.security_group_id for group in groups],
            },
        }

    def _uri(self, prefix: str) -> str:
        return f"s3://{self._assets.bucket.bucket_name}/{prefix}"

    def _role(self, job: SimulationJob) -> iam.Role:
        role = iam.Role(
            self,
            "Role",
            # A name, so that GaitwayPipeline may pass it on without importing it.
            role_name=self._settings.names.training_role(cdk.Aws.REGION),
            assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"),
        )
        job.grant_pull(role)
        job.admit(role)
        if self._settings.sagemaker_mounts:
            self._file_system.grant_root(role)
            role.add_to_policy(iam.PolicyStatement(actions=[*_VPC_ACTIONS], resources=["*"]))
        else:
            self._assets.grant_synchronise(role, SYNCHRONISED_RUNS)
        self._assets.grant_put(role, f"{OUTPUT_PREFIX}*")
        logs = cdk.Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            resource_name="/aws/sagemaker/TrainingJobs*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=[
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                ],
                resources=[logs],
            )
        )
        acknowledge_wildcard(role, logs, "SageMaker names the group, and a stream after each training job.")
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["cloudwatch:PutMetricData"],
                resources=["*"],
                conditions={"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}},
            )
        )
        acknowledge(role, "IAM5[Resource::*]", "EC2's actions for interfaces in a VPC take no narrower resource.")
        return role
