"""GaitwayCompute: what runs the simulations."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from gaitway.settings import Settings
from stacks.components.findings import acknowledge
from stacks.components.gpu_instances import GpuInstances
from stacks.components.gpu_queue import GpuQueue
from stacks.components.image_build import ImageBuild
from stacks.components.job_image import JobImage
from stacks.components.machine import machine_name
from stacks.components.metrics import grant_metrics
from stacks.components.network import Network
from stacks.components.simulation_job import SimulationJob
from stacks.components.task_tokens import grant_task_answers
from stacks.storage import StorageStack


class ComputeStack(cdk.Stack):
    """Queues and job definitions.

    Attributes:
        queue: Where jobs wait for a GPU.
        multi_node_queue: Where they wait for several instances at once.
        job: What they are.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        settings: Settings,
        network: Network,
        storage: StorageStack,
        *,
        env: cdk.Environment | None,
    ) -> None:
        super().__init__(scope, construct_id, env=env, description="Gaitway: compute")
        instances = GpuInstances(self, "GpuInstances")
        self.queue = GpuQueue(self, "GpuQueue", settings, network=network, instances=instances).queue
        self.multi_node_queue = GpuQueue(
            self, "MultiNodeQueue", settings, network=network, instances=instances, multi_node=True
        ).queue
        self.job = SimulationJob(
            self,
            "SimulationJob",
            settings,
            # In this stack, since a digest that another stack exports could not change while this one imports it.
            image=ImageBuild(self, "ImageBuild", settings).image
            if settings.container_image_uri is None
            else JobImage.given(self, "GivenImage", settings.container_image_uri),
            file_system=storage.file_system,
            run_table=storage.runs.table.table_name,
        )
        run = self.job.run_access
        storage.runs.grant(run, "GetItem", "UpdateItem")
        storage.assets.grant_get(run)
        storage.assets.grant_write(run)
        grant_task_answers(run, "Heartbeat")
        grant_task_answers(run, "Success", "Failure", of=machine_name("pipeline"))
        # A job that is told to stop asks whether Batch will attempt it again.
        run.add_to_policy(iam.PolicyStatement(actions=["batch:DescribeJobs"], resources=["*"]))
        acknowledge(run, "IAM5[Resource::*]", "Batch's DescribeJobs takes no resource.")
        grant_metrics(run)
        cdk.CfnOutput(self, "JobQueueArn", value=self.queue.job_queue_arn)
