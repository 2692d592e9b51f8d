"""GaitwayPipeline: the functions, the two state machines, and who may call what."""

from __future__ import annotations

import json
from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from gaitway.contracts.limits import FUNCTION_SECONDS
from gaitway.contracts.vams import METADATA_SUFFIX, STEP_INPUTS
from gaitway.names import SYNCHRONISED_RUNS
from gaitway.settings import Settings
from stacks.components.findings import acknowledge, acknowledge_wildcard
from stacks.components.function import PipelineFunction, RunDirectories
from stacks.components.lambda_code import LibraryLayer
from stacks.components.machine import LambdaMachine
from stacks.components.monitored import Monitored, WatchedFunction, WatchedMachine
from stacks.components.monitoring import Monitoring
from stacks.components.network import Network
from stacks.components.task_tokens import grant_task_answers
from stacks.components.vams import VamsRegistration
from stacks.components.watchers import Watchers
from stacks.storage import StorageStack


class PipelineStack(cdk.Stack):
    """A run's way: launch, the inner machine with its functions, and the workflow around them."""

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
            stack_name=settings.names.stack("Pipeline"),
            description="Gaitway: pipeline",
        )
        self._settings = settings
        self._storage = storage
        self._layer = LibraryLayer(self, "Libraries", settings)
        self._watched: dict[str, WatchedFunction] = {}

        construct_run = self._construct_run()
        submit_job = self._submit_job()
        collect_results = self._collect_results()
        handle_failure = self._handle_failure(network)
        pipeline = LambdaMachine(
            self,
            "Pipeline",
            settings,
            definition="pipeline",
            functions={
                "construct_run": construct_run.function,
                "submit_job": submit_job.function,
                "collect_results": collect_results.function,
                "handle_failure": handle_failure.function,
                "tell_caller": self._tell_caller().function,
            },
        )
        self._executions = pipeline.executions_arn
        self._allow_on_executions(handle_failure, "states:DescribeExecution")
        pipeline_arn = pipeline.machine.state_machine_arn
        launch = self._launch(pipeline_arn)
        self._allow_on_executions(launch, "states:DescribeExecution")
        workflow = LambdaMachine(
            self,
            "Workflow",
            settings,
            definition="workflow",
            functions={"launch": launch.function},
            names={"AssetBucketName": storage.assets.bucket.bucket_name},
        )
        job_queues = [self._batch_arn("job-queue", name) for name in self._job_queues()]
        heartbeat = self._heartbeat(handle_failure, job_queues)
        watchers = Watchers(
            self,
            "Watchers",
            heartbeat=heartbeat,
            job_state=self._job_state(),
            handle_failure=handle_failure,
            job_queues=job_queues,
            training_queues=self._training_queues(),
            has_clusters=bool(settings.clusters),
            pipeline=pipeline_arn,
            workflow=workflow.machine.state_machine_arn,
        )
        Monitoring(
            self,
            "Monitoring",
            settings,
            Monitored(
                names=settings.names,
                functions=tuple(self._watched.values()),
                heartbeat=self._watched[heartbeat.node.id],
                pipeline=WatchedMachine("pipeline", pipeline.machine, pipeline.logs),
                workflow=WatchedMachine("workflow", workflow.machine, workflow.logs),
                rules=watchers.rules,
                lost_events=watchers.lost_events,
                clusters=settings.clusters,
                file_system=storage.file_system.file_system,
                bucket=storage.assets.bucket,
            ),
        )

        if settings.vams_import_function_name is not None:
            VamsRegistration(
                self,
                "Vams",
                settings,
                import_function_name=settings.vams_import_function_name,
                launch=launch.function,
                layer=self._layer,
            )
        cdk.CfnOutput(self, "PipelineArn", value=pipeline_arn)
        cdk.CfnOutput(self, "WorkflowArn", value=workflow.machine.state_machine_arn)
        cdk.CfnOutput(self, "LaunchFunctionName", value=launch.function.function_name)

    def _launch(self, pipeline_arn: str) -> PipelineFunction:
        function = self._function(
            "launch",
            environment={"GAITWAY_PIPELINE_ARN": pipeline_arn, **self._further_backends(), **self._simulators()},
        )
        function.allow("states:StartExecution", on=[pipeline_arn])
        self._storage.runs.grant(function.role, "GetItem", "PutItem", "UpdateItem", "ConditionCheckItem")
        self._storage.assets.grant_read(function.role, f"{STEP_INPUTS}*")
        grant_task_answers(function.role, "Success", "Failure")
        return function

    def _construct_run(self) -> PipelineFunction:
        pinned = {"GAITWAY_PINNED_SIMULATORS": json.dumps(self._settings.pinned_simulators)}
        function = self._function(
            "construct_run",
            environment=self._job_sizes() | self._further_backends() | self._simulators() | pinned,
        )
        self._storage.runs.grant(function.role, "GetItem", "UpdateItem")
        self._storage.assets.grant_read(function.role)
        return function

    def _submit_job(self) -> PipelineFunction:
        names, gpu_counts = self._settings.names, self._settings.gpu_counts
        simulators = self._settings.simulators
        function = self._function(
            "submit_job",
            environment={
                "GAITWAY_JOB_QUEUES": json.dumps({gpus: names.job_queue(gpus) for gpus in gpu_counts}),
                "GAITWAY_JOB_DEFINITIONS": json.dumps({one: names.job_definition(one) for one in simulators}),
                "GAITWAY_MULTI_NODE_JOB_QUEUES": json.dumps(
                    {gpus: names.multi_node_job_queue(gpus) for gpus in gpu_counts}
                ),
                "GAITWAY_MULTI_NODE_JOB_DEFINITIONS": json.dumps(
                    {one: names.multi_node_job_definition(one) for one in simulators}
                ),
                "GAITWAY_JOB_TAGS": json.dumps(names.job_tags),
                **self._job_sizes(),
                **self._further_backends(),
                **({"GAITWAY_TRAINING_JOB": names.training_template} if self._training_queues() else {}),
                **self._orders(),
            },
        )
        # A submission without a revision is checked against the ARN of the newest one:
        # docs.aws.amazon.com/batch/latest/userguide/iam-example-restrict-job-submission.html
        definitions = [
            self._batch_arn("job-definition", f"{name}:*")
            for simulator in simulators
            for name in (names.job_definition(simulator), names.multi_node_job_definition(simulator))
        ]
        queues = [self._batch_arn("job-queue", name) for name in self._job_queues()]
        function.allow("batch:SubmitJob", on=[*queues, *definitions])
        for definition in definitions:
            acknowledge_wildcard(function.role, definition, "Every change of a job is a new revision.")
        # To submit a job with tags, a role must also be allowed to tag it.
        self._allow_on_jobs(function, "batch:TagResource", "aws:RequestTag")
        function.allow("batch:DescribeJobs", "batch:ListJobs", on=["*"])
        acknowledge(function.role, "IAM5[Resource::*]", "Batch's DescribeJobs and ListJobs take no resource.")
        self._storage.runs.grant(function.role, "GetItem", "UpdateItem", "ConditionCheckItem")
        if queues := self._training_queues():
            self._allow_training(function, queues)
        self._allow_orders(function)
        return function

    def _allow_training(self, function: PipelineFunction, queues: list[str]) -> None:
        """Let submit_job submit training jobs."""
        names = self._settings.names
        template = self.format_arn(
            service="ssm", resource="parameter", resource_name=names.training_template.removeprefix("/")
        )
        function.allow("ssm:GetParameter", on=[template])
        jobs = self._batch_arn("service-job", "*")
        function.allow("batch:SubmitServiceJob", on=[*queues, jobs])
        self._allow_on_jobs(function, "batch:TagResource", "aws:RequestTag", kind="service-job")
        function.allow("batch:DescribeServiceJob", "batch:ListServiceJobs", on=["*"])
        # Whether Batch asks for it is not documented; SageMaker does of those who create training jobs themselves.
        role = self.format_arn(
            service="iam", region="", resource="role", resource_name=names.training_role(self.region)
        )
        function.role.add_to_policy(
            iam.PolicyStatement(
                actions=["iam:PassRole"],
                resources=[role],
                conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
            )
        )

    def _collect_results(self) -> PipelineFunction:
        function = self._function("collect_results")
        self._storage.runs.grant(function.role, "GetItem", "UpdateItem")
        self._storage.assets.grant_read(function.role)
        self._storage.assets.grant_put(function.role, f"*{METADATA_SUFFIX}")
        grant_task_answers(function.role, "Success")
        function.allow_metrics()
        return function

    def _handle_failure(self, network: Network) -> PipelineFunction:
        function = self._function(
            "handle_failure",
            directories=RunDirectories(self._storage.file_system, network),
            environment=self._orders() | self._synchronised_runs(),
        )
        self._storage.assets.grant_read(function.role)
        self._storage.assets.grant_write(function.role)
        self._allow_ending_runs(function)
        return function

    def _tell_caller(self) -> PipelineFunction:
        """Make handle_failure once more, without the file system: where that cannot be mounted, nothing starts."""
        function = self._function("handle_failure", called="tell_caller", environment=self._orders())
        self._allow_ending_runs(function)
        return function

    def _heartbeat(self, handle_failure: PipelineFunction, job_queues: list[str]) -> PipelineFunction:
        training = self._training_queues()
        function = self._function(
            "heartbeat",
            environment={
                "GAITWAY_HANDLE_FAILURE_FUNCTION": handle_failure.function.function_arn,
                "GAITWAY_JOB_QUEUES": json.dumps(job_queues),
                **({"GAITWAY_TRAINING_QUEUES": json.dumps(training)} if training else {}),
                **self._orders(),
            },
        )
        self._storage.runs.grant(function.role, "GetItem", "UpdateItem")
        self._storage.runs.grant_list(function.role)
        function.allow("lambda:InvokeFunction", on=[handle_failure.function.function_arn])
        self._allow_on_executions(function, "states:DescribeExecution")
        grant_task_answers(function.role, "Heartbeat")
        grant_task_answers(function.role, "Failure", of=self._settings.names.machine("pipeline"))
        self._allow_ending_jobs(function)
        function.allow("batch:DescribeJobs", "batch:ListJobs", on=["*"])
        if training:
            function.allow("batch:DescribeServiceJob", "batch:ListServiceJobs", on=["*"])
        function.allow_metrics()
        acknowledge(function.role, "IAM5[Resource::*]", "Batch's DescribeJobs and ListJobs take no resource.")
        return function

    def _job_state(self) -> PipelineFunction:
        function = self._function(
            "job_state", environment={"GAITWAY_ASSET_BUCKET": self._storage.assets.bucket.bucket_name}
        )
        self._storage.runs.grant(function.role, "GetItem")
        self._allow_on_executions(function, "states:StopExecution")
        grant_task_answers(function.role, "Failure", of=self._settings.names.machine("pipeline"))
        function.allow("batch:DescribeJobs", on=["*"])
        if self._training_queues():
            function.allow("batch:DescribeServiceJob", on=["*"])
        acknowledge(function.role, "IAM5[Resource::*]", "Batch's DescribeJobs takes no resource.")
        return function

    def _allow_ending_runs(self, function: PipelineFunction) -> None:
        """Let a function stop a run's job, record why it failed, and answer its caller."""
        self._allow_ending_jobs(function)
        self._storage.runs.grant(function.role, "GetItem", "UpdateItem")
        grant_task_answers(function.role, "Success", "Failure")
        function.allow_metrics()

    def _synchronised_runs(self) -> dict[str, str]:
        """Where SageMaker keeps the directories of its runs; nothing where they are on EFS."""
        if not self._settings.sagemaker_synchronises:
            return {}
        return {"GAITWAY_SYNCHRONISED_RUNS": f"s3://{self._storage.assets.bucket.bucket_name}/{SYNCHRONISED_RUNS}"}

    def _orders(self) -> dict[str, str]:
        """The queues of the clusters' agents; nothing where there are none."""
        queues = {cluster: self._settings.names.orders(cluster) for cluster in self._settings.clusters}
        return {"GAITWAY_CLUSTER_ORDERS": json.dumps(queues)} if queues else {}

    def _allow_orders(self, function: PipelineFunction) -> None:
        """Let a function give orders to the clusters' agents."""
        for cluster in self._settings.clusters:
            queue = self.format_arn(service="sqs", resource=self._settings.names.orders(cluster))
            function.allow("sqs:GetQueueUrl", "sqs:SendMessage", on=[queue])

    def _allow_ending_jobs(self, function: PipelineFunction) -> None:
        """Let a function end jobs, but only of this deployment."""
        self._allow_orders(function)
        self._allow_on_jobs(function, "batch:TerminateJob", "aws:ResourceTag")
        if self._training_queues():
            self._allow_on_jobs(function, "batch:TerminateServiceJob", "aws:ResourceTag", kind="service-job")

    def _allow_on_jobs(self, function: PipelineFunction, action: str, tags: str, kind: str = "job") -> None:
        """Allow a function some actions on jobs that have this deployment's tag, or are given it.

        docs.aws.amazon.com/batch/latest/userguide/batch-supported-iam-actions-resources.html
        """
        jobs = self._batch_arn(kind, "*")
        ours = {f"{tags}/{key}": value for key, value in self._settings.names.job_tags.items()}
        function.role.add_to_policy(
            iam.PolicyStatement(actions=[action], resources=[jobs], conditions={"StringEquals": ours})
        )
        acknowledge_wildcard(function.role, jobs, "Batch names jobs as they are submitted; a tag tells whose they are.")

    def _allow_on_executions(self, function: PipelineFunction, action: str) -> None:
        """Allow a function some actions on the inner machine's executions."""
        function.allow(action, on=[self._executions])
        acknowledge_wildcard(
            function.role, self._executions, "Executions are named as they start; which one is a run's its record says."
        )

    def _job_queues(self) -> list[str]:
        """Name our queues."""
        names, gpu_counts = self._settings.names, self._settings.gpu_counts
        return [name(gpus) for name in (names.job_queue, names.multi_node_job_queue) for gpus in gpu_counts]

    def _training_queues(self) -> list[str]:
        """Name the queue of training jobs by its ARN, if there is one."""
        has_one = "sagemaker" in self._settings.backends
        return [self._batch_arn("job-queue", self._settings.names.training_queue)] if has_one else []

    def _batch_arn(self, resource: str, name: str) -> str:
        return self.format_arn(service="batch", resource=resource, resource_name=name)

    def _job_sizes(self) -> dict[str, str]:
        """The sizes that a request may have, and the resources of its job."""
        sizes = {processes: size._asdict() for processes, size in self._settings.job_sizes.items()}
        return {"GAITWAY_JOB_SIZES": json.dumps(sizes)}

    def _further_backends(self) -> dict[str, str]:
        """The back ends beside AWS Batch, with their sizes; nothing where there are none."""
        further = {
            name: {processes: size._asdict() for processes, size in sizes.items()}
            for name, sizes in self._settings.further_backends.items()
        }
        return {"GAITWAY_FURTHER_BACKENDS": json.dumps(further)} if further else {}

    def _simulators(self) -> dict[str, str]:
        """Which simulators are deployed, and whether they can be looked into."""
        return {
            "GAITWAY_SIMULATORS": json.dumps(self._settings.simulators),
            "GAITWAY_ALLOW_LIVE_VIEW": json.dumps(self._settings.allow_live_view),
        }

    def _function(
        self,
        verb: str,
        *,
        called: str | None = None,
        environment: Mapping[str, str] | None = None,
        directories: RunDirectories | None = None,
    ) -> PipelineFunction:
        """Make a function that knows the run table, called after what it does unless another does the same."""
        called = called or verb
        function = PipelineFunction(
            self,
            "".join(part.title() for part in called.split("_")),
            self._settings,
            verb=verb,
            name=self._settings.names.function(called),
            layer=self._layer,
            timeout=cdk.Duration.seconds(FUNCTION_SECONDS[called]),
            environment={"GAITWAY_RUN_TABLE": self._storage.runs.table.table_name, **(environment or {})},
            directories=directories,
        )
        self._watched[function.node.id] = WatchedFunction(called, function.function, function.logs)
        return function
