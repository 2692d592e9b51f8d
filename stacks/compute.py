"""GaitwayCompute: what runs the simulations."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from gaitway.settings import Settings
from stacks.components.cluster_agent import ClusterAgent
from stacks.components.findings import acknowledge
from stacks.components.gpu_instances import GpuInstances
from stacks.components.gpu_queue import GpuQueue
from stacks.components.image_build import ImageBuild
from stacks.components.job_image import JobImage
from stacks.components.metrics import grant_metrics
from stacks.components.network import Network
from stacks.components.simulation_job import SimulationJob
from stacks.components.task_tokens import grant_task_answers
from stacks.components.training_jobs import TrainingJobs
from stacks.storage import StorageStack


class ComputeStack(cdk.Stack):
    """Queues and job definitions.

    GaitwayPipeline knows them by their names and imports nothing from here: what is imported could neither be replaced
    nor removed.
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
        super().__init__(
            scope,
            construct_id,
            env=env,
            stack_name=settings.names.stack("Compute"),
            description="Gaitway: compute",
        )
        instances = GpuInstances(self, "GpuInstances", allow_sessions=settings.allow_live_view)
        queues = [
            GpuQueue(self, f"{kind}{gpus}", settings, gpus, network=network, instances=instances, multi_node=multi_node)
            for kind, multi_node in (("GpuQueue", False), ("MultiNodeQueue", True))
            for gpus in settings.gpu_counts
        ]
        # In this stack, since a digest that another stack exports could not change while this one imports it.
        build = ImageBuild(self, "ImageBuild", settings) if settings.built_simulators else None
        images = {
            simulator: JobImage.given(self, f"GivenImage-{simulator}", uri)
            for simulator in settings.simulators
            if (uri := settings.image_uri(simulator)) is not None
        }
        job = SimulationJob(
            self,
            "SimulationJob",
            settings,
            images=images | (build.images if build else {}),
            file_system=storage.file_system,
            run_table=storage.runs.table.table_name,
        )
        for cluster in settings.clusters:
            ClusterAgent(
                self,
                "".join(part.title() for part in cluster.split("-")),
                settings,
                cluster=cluster,
                job=job,
                runs=storage.runs,
                file_system=storage.file_system,
            )
        run = job.run_access
        storage.runs.grant(run, "GetItem", "UpdateItem")
        storage.assets.grant_get(run)
        storage.assets.grant_write(run)
        grant_task_answers(run, "Heartbeat")
        grant_task_answers(run, "Success", "Failure", of=settings.names.machine("pipeline"))
        # A job that is asked to stop checks whether Batch will attempt it again.
        run.add_to_policy(iam.PolicyStatement(actions=["batch:DescribeJobs"], resources=["*"]))
        acknowledge(run, "IAM5[Resource::*]", "Batch's DescribeJobs takes no resource.")
        grant_metrics(run, settings.names)
        if "sagemaker" in settings.backends:
            TrainingJobs(
                self,
                "TrainingJobs",
                settings,
                network=network,
                file_system=storage.file_system,
                assets=storage.assets,
                job=job,
            )
            # By which a training job finds out which attempt of which job it is.
            described = ["batch:DescribeServiceJob", "batch:ListServiceJobs", "sagemaker:DescribeTrainingJob"]
            run.add_to_policy(iam.PolicyStatement(actions=described, resources=["*"]))
        cdk.CfnOutput(self, "JobQueueArns", value=cdk.Fn.join(",", [each.queue.job_queue_arn for each in queues]))
        if build is not None:
            build.wait_for_all_of(self)
