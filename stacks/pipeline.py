"""GaitwayPipeline: the functions, the two state machines, and who may call what."""

from __future__ import annotations

import json
from collections.abc import Mapping

import aws_cdk as cdk
from constructs import Construct

from gaitway.contracts.vams import METADATA_SUFFIX, STEP_INPUTS
from gaitway.settings import Settings
from stacks.components.findings import acknowledge, acknowledge_wildcard
from stacks.components.function import PipelineFunction, RunDirectories
from stacks.components.lambda_code import LibraryLayer
from stacks.components.machine import LambdaMachine, machine_name
from stacks.components.monitored import Monitored, WatchedFunction, WatchedMachine
from stacks.components.monitoring import Monitoring
from stacks.components.network import Network
from stacks.components.task_tokens import grant_task_answers
from stacks.components.vams import VamsRegistration
from stacks.components.watchers import Watchers
from stacks.compute import ComputeStack
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
        compute: ComputeStack,
        *,
        env: cdk.Environment | None,
    ) -> None:
        super().__init__(scope, construct_id, env=env, description="Gaitway: pipeline")
        self._settings = settings
        self._storage = storage
        self._layer = LibraryLayer(self, "Libraries", settings)
        self._watched: dict[str, WatchedFunction] = {}

        construct_run = self._construct_run()
        submit_job = self._submit_job(compute)
        collect_results = self._collect_results()
        handle_failure = self._handle_failure(network)
        pipeline = LambdaMachine(
            self,
            "Pipeline",
            settings,
            definition="pipeline",
            functions={
                "ConstructRunFunctionArn": construct_run.function,
                "SubmitJobFunctionArn": submit_job.function,
                "CollectResultsFunctionArn": collect_results.function,
                "HandleFailureFunctionArn": handle_failure.function,
                "TellCallerFunctionArn": self._tell_caller().function,
            },
        )
        self._executions = pipeline.executions_arn
        self._allow_on_executions(handle_failure, "states:DescribeExecution")
        pipeline_arn = pipeline.machine.state_machine_arn
        launch = self._launch(pipeline_arn)
        workflow = LambdaMachine(
            self,
            "Workflow",
            settings,
            definition="workflow",
            functions={"LaunchFunctionArn": launch.function},
            names={"AssetBucketName": storage.assets.bucket.bucket_name},
        )
        job_queues = [compute.queue.job_queue_arn, compute.multi_node_queue.job_queue_arn]
        heartbeat = self._heartbeat(handle_failure, job_queues)
        watchers = Watchers(
            self,
            "Watchers",
            heartbeat=heartbeat,
            job_state=self._job_state(),
            handle_failure=handle_failure,
            job_queues=job_queues,
            pipeline=pipeline_arn,
            workflow=workflow.machine.state_machine_arn,
        )
        Monitoring(
            self,
            "Monitoring",
            settings,
            Monitored(
                functions=tuple(self._watched.values()),
                heartbeat=self._watched[heartbeat.node.id],
                pipeline=WatchedMachine(machine_name("pipeline"), pipeline.machine, pipeline.logs),
                workflow=WatchedMachine(machine_name("workflow"), workflow.machine, workflow.logs),
                rules=watchers.rules,
                lost_events=watchers.lost_events,
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
        # VAMS may call functions only whose names begin with "vams".
        function = self._function(
            "launch", name="vams-gaitway-launch", environment={"GAITWAY_PIPELINE_ARN": pipeline_arn}
        )
        function.allow("states:StartExecution", on=[pipeline_arn])
        self._storage.runs.grant(function.role, "GetItem", "PutItem", "UpdateItem", "ConditionCheckItem")
        self._storage.assets.grant_read(function.role, f"{STEP_INPUTS}*")
        grant_task_answers(function.role, "Success", "Failure")
        return function

    def _construct_run(self) -> PipelineFunction:
        function = self._function("construct_run", timeout=cdk.Duration.minutes(1), environment=self._job_sizes())
        self._storage.runs.grant(function.role, "UpdateItem")
        self._storage.assets.grant_read(function.role)
        return function

    def _submit_job(self, compute: ComputeStack) -> PipelineFunction:
        where = {
            "GAITWAY_JOB_QUEUE": compute.queue.job_queue_arn,
            "GAITWAY_JOB_DEFINITION": compute.job.definition.job_definition_arn,
            "GAITWAY_MULTI_NODE_JOB_QUEUE": compute.multi_node_queue.job_queue_arn,
            "GAITWAY_MULTI_NODE_JOB_DEFINITION": compute.job.multi_node_definition.job_definition_arn,
        }
        function = self._function("submit_job", environment=where | self._job_sizes())
        function.allow("batch:SubmitJob", on=list(where.values()))
        function.allow("batch:DescribeJobs", "batch:ListJobs", on=["*"])
        acknowledge(function.role, "IAM5[Resource::*]", "Batch's DescribeJobs and ListJobs take no resource.")
        self._storage.runs.grant(function.role, "GetItem", "UpdateItem", "ConditionCheckItem")
        return function

    def _collect_results(self) -> PipelineFunction:
        function = self._function("collect_results", timeout=cdk.Duration.minutes(5))
        self._storage.runs.grant(function.role, "GetItem", "UpdateItem")
        self._storage.assets.grant_read(function.role)
        self._storage.assets.grant_put(function.role, f"*{METADATA_SUFFIX}")
        grant_task_answers(function.role, "Success")
        function.allow_metrics()
        return function

    def _handle_failure(self, network: Network) -> PipelineFunction:
        function = self._function(
            "handle_failure",
            # The caller is told within the first of them; the others are for large files.
            timeout=cdk.Duration.minutes(5),
            directories=RunDirectories(self._storage.file_system, network),
        )
        self._storage.assets.grant_read(function.role)
        self._storage.assets.grant_write(function.role)
        self._allow_ending_runs(function)
        return function

    def _tell_caller(self) -> PipelineFunction:
        """Make handle_failure once more, without the file system: where that cannot be mounted, nothing starts."""
        function = self._function("handle_failure", name="gaitway-tell-caller", construct_id="TellCaller")
        self._allow_ending_runs(function)
        return function

    def _heartbeat(self, handle_failure: PipelineFunction, job_queues: list[str]) -> PipelineFunction:
        function = self._function(
            "heartbeat",
            # Less than the time between two calls.
            timeout=cdk.Duration.minutes(4),
            environment={
                "GAITWAY_HANDLE_FAILURE_FUNCTION": handle_failure.function.function_arn,
                "GAITWAY_JOB_QUEUES": json.dumps(job_queues),
            },
        )
        self._storage.runs.grant(function.role, "GetItem", "UpdateItem")
        self._storage.runs.grant_list(function.role)
        function.allow("lambda:InvokeFunction", on=[handle_failure.function.function_arn])
        self._allow_on_executions(function, "states:DescribeExecution")
        grant_task_answers(function.role, "Heartbeat")
        grant_task_answers(function.role, "Failure", of=machine_name("pipeline"))
        self._allow_ending_jobs(function)
        function.allow("batch:DescribeJobs", "batch:ListJobs", on=["*"])
        function.allow_metrics()
        acknowledge(function.role, "IAM5[Resource::*]", "Batch's DescribeJobs and ListJobs take no resource.")
        return function

    def _job_state(self) -> PipelineFunction:
        function = self._function(
            "job_state", environment={"GAITWAY_ASSET_BUCKET": self._storage.assets.bucket.bucket_name}
        )
        self._storage.runs.grant(function.role, "GetItem")
        self._allow_on_executions(function, "states:StopExecution")
        grant_task_answers(function.role, "Failure", of=machine_name("pipeline"))
        function.allow("batch:DescribeJobs", on=["*"])
        acknowledge(function.role, "IAM5[Resource::*]", "Batch's DescribeJobs takes no resource.")
        return function

    def _allow_ending_runs(self, function: PipelineFunction) -> None:
        """Let a function stop a run's job, write down why it failed, and tell whoever waits for it."""
        self._allow_ending_jobs(function)
        self._storage.runs.grant(function.role, "GetItem", "UpdateItem")
        grant_task_answers(function.role, "Success", "Failure")
        function.allow_metrics()

    def _allow_ending_jobs(self, function: PipelineFunction) -> None:
        """Let a function end jobs."""
        jobs = self.format_arn(service="batch", resource="job", resource_name="*")
        function.allow("batch:TerminateJob", on=[jobs])
        acknowledge_wildcard(
            function.role, jobs, "Batch names jobs as they are submitted; which one is the run's stands in its record."
        )

    def _allow_on_executions(self, function: PipelineFunction, action: str) -> None:
        """Let a function do something with the inner machine's executions."""
        function.allow(action, on=[self._executions])
        acknowledge_wildcard(
            function.role, self._executions, "Executions are named as they start; which one is a run's its record says."
        )

    def _job_sizes(self) -> dict[str, str]:
        """What a request may ask for, and what its job then asks for."""
        sizes = {processes: size._asdict() for processes, size in self._settings.job_sizes.items()}
        return {"GAITWAY_JOB_SIZES": json.dumps(sizes)}

    def _function(
        self,
        verb: str,
        *,
        name: str | None = None,
        construct_id: str | None = None,
        timeout: cdk.Duration | None = None,
        environment: Mapping[str, str] | None = None,
        directories: RunDirectories | None = None,
    ) -> PipelineFunction:
        """Make a function that knows the run table."""
        name = name or f"gaitway-{verb.replace('_', '-')}"
        function = PipelineFunction(
            self,
            construct_id or "".join(part.title() for part in verb.split("_")),
            self._settings,
            verb=verb,
            name=name,
            layer=self._layer,
            timeout=timeout or cdk.Duration.seconds(30),
            environment={"GAITWAY_RUN_TABLE": self._storage.runs.table.table_name, **(environment or {})},
            directories=directories,
        )
        self._watched[function.node.id] = WatchedFunction(name, function.function, function.logs)
        return function
