"""What the agent of a cluster needs: its queue of orders, its settings, and the role of the cluster's nodes."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from gaitway.names import Names
from gaitway.settings import Settings
from stacks.components.file_system import MOUNT_PATH, RunFileSystem
from stacks.components.findings import acknowledge
from stacks.components.run_table import RunTable
from stacks.components.simulation_job import CACHE_PATH, MACHINE_PATH, SimulationJob

_EVENT_SOURCE = "gaitway.agent"
_ENTRYPOINT = "/opt/gaitway/src/container/entrypoint.sh"
"""Of the job's image (container/Dockerfile): a cluster's container runtime does not run an image's own."""
_EKS = "hyperpod-eks"
_RECEIVES = 20
"""An order that fails is received again every minute, and put aside after this: a controller may be away so long."""


class ClusterAgent(Construct):
    """The cluster's side of a back end; the cluster itself is made in `stacks/hyperpod.py`, if settings say so.

    Attributes:
        role: The agent's. On Slurm it is the execution role of the cluster's instance groups, and so the jobs', too.
        jobs: The jobs'. On EKS, each has a service account of its own, with an association of pod identity.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        settings: Settings,
        *,
        cluster: str,
        job: SimulationJob,
        runs: RunTable,
        file_system: RunFileSystem,
    ) -> None:
        """Make them.

        Args:
            scope: Parent.
            construct_id: Id.
            settings: The deployment's.
            cluster: The back end.
            job: Whose image, variables and role of runs these jobs have, too.
            runs: The run table.
            file_system: Where runs live.
        """
        super().__init__(scope, construct_id)
        names = settings.names
        orders = self._queue(names, cluster)
        # Nodes of Slurm mount it themselves, and so for each deployment that uses them.
        mount_path = MOUNT_PATH if cluster == _EKS else f"/mnt/{names.deployment}"
        config = {
            "deployment": names.deployment,
            "queue": names.orders(cluster),
            "run_table": runs.table.table_name,
            "sizes": {
                str(processes): {"gpus": size.gpus, "vcpus": size.vcpus, "memory_mib": size.memory_mib}
                for processes, size in settings.job_sizes.items()
            },
            "job_environment": {
                **job.environment,
                "GAITWAY_EFS_ROOT": mount_path,
                "GAITWAY_MACHINE_FILE": f"{MACHINE_PATH}/machine.json",
            },
            "efs_root": mount_path,
            "file_system": file_system.file_system.file_system_id,
            "access_point": file_system.access_point.access_point_id,
            "mounts": [mount_path, CACHE_PATH, MACHINE_PATH],
            "job_attempts": job.attempts,
            "image": job.image_uri,
            "images": job.image_uris,
            "command": [_ENTRYPOINT],
            "log_group": names.job_logs,
            **_of_eks(settings, cluster),
        }
        ssm.StringParameter(
            self,
            "Config",
            parameter_name=names.agent_parameter(cluster),
            description=f"Gaitway: what the agent of {cluster} has to know",
            string_value=cdk.Stack.of(self).to_json_string(config),
        )
        if cluster == _EKS:
            # docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html
            self.role = self._pod_role("Role", names.agent_role(cluster, cdk.Aws.REGION))
            self.jobs = self._pod_role("Jobs", names.jobs_role(cluster, cdk.Aws.REGION))
            cdk.CfnOutput(cdk.Stack.of(self), f"{construct_id}JobsRoleArn", value=self.jobs.role_arn)
        else:
            # docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-prerequisites-iam.html: of each instance group.
            self.role = iam.Role(
                self,
                "Role",
                role_name=names.agent_role(cluster, cdk.Aws.REGION),
                assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"),
            )
            self.jobs = self.role
            # On EKS, the file system's driver and the kubelet do both, with the node's role.
            file_system.grant_read_write(self.role)
            job.grant_pull(self.role)
        # By its name: the parameter names the image, which is built when the roles are there.
        parameter = cdk.Stack.of(self).format_arn(
            service="ssm", resource="parameter", resource_name=names.agent_parameter(cluster).removeprefix("/")
        )
        self.role.add_to_policy(iam.PolicyStatement(actions=["ssm:GetParameter"], resources=[parameter]))
        orders.grant_consume_messages(self.role)
        job.grant_logs(self.role)
        self._allow_reports(runs)
        job.admit(self.jobs)
        cdk.CfnOutput(cdk.Stack.of(self), f"{construct_id}RoleArn", value=self.role.role_arn)

    def _pod_role(self, construct_id: str, name: str) -> iam.Role:
        principal = iam.ServicePrincipal("pods.eks.amazonaws.com")
        # By a name, so that the stack with the cluster may use it without importing it.
        return iam.Role(self, construct_id, role_name=name, assumed_by=iam.SessionTagsPrincipal(principal))

    def _allow_reports(self, runs: RunTable) -> None:
        """Let the agent read and write its jobs, and send events as an agent only."""
        runs.grant(self.role, "GetItem", "UpdateItem")
        runs.grant_list(self.role)
        bus = cdk.Stack.of(self).format_arn(service="events", resource="event-bus", resource_name="default")
        self.role.add_to_policy(
            iam.PolicyStatement(
                actions=["events:PutEvents"],
                resources=[bus],
                # docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html
                conditions={"StringEquals": {"events:source": _EVENT_SOURCE}},
            )
        )

    def _queue(self, names: Names, cluster: str) -> sqs.Queue:
        dead = sqs.Queue(
            self,
            "Refused",
            # Both have names, so that the alarms of GaitwayPipeline know them without importing anything.
            queue_name=names.refused_orders(cluster),
            fifo=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(14),
        )
        acknowledge(dead, "SQS3", "This is the dead-letter queue; nothing reads it that could fail again.")
        return sqs.Queue(
            self,
            "Orders",
            queue_name=names.orders(cluster),
            fifo=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            visibility_timeout=cdk.Duration.seconds(60),
            retention_period=cdk.Duration.days(14),
            dead_letter_queue=sqs.DeadLetterQueue(queue=dead, max_receive_count=_RECEIVES),
        )


def _of_eks(settings: Settings, cluster: str) -> dict[str, object]:
    """What the agent of a cluster of EKS is told besides: `gaitway.contracts.eks.EksSettings`."""
    if cluster != _EKS:
        return {}
    told = {
        "team": settings.eks_team,
        "instance_type": settings.eks_instance_type,
        "priority_class": settings.eks_priority_class,
        "efa_interfaces": settings.eks_efa_interfaces,
        "hugepages_mib": settings.eks_hugepages_mib,
    }
    # The image's own entry point starts.
    return {"command": [], "mounts": [], "eks": {name: value for name, value in told.items() if value is not None}}
