"""What looks after runs from outside their machine: a schedule, and the events of jobs and executions."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from gaitway.contracts.limits import HEARTBEAT_CALL_SECONDS
from stacks.components.findings import acknowledge
from stacks.components.function import PipelineFunction

FAILED_TRAININGS = "training-failed"
"""Name of the rule for jobs that failed on SageMaker."""
_UNSUCCESSFUL = ("FAILED", "TIMED_OUT", "ABORTED")


class Watchers(Construct):
    """Rules that call the functions which end lost runs and jobs.

    Attributes:
        lost_events: Events that no attempt could deliver, or that their function failed on three times. Nothing removes
            them: the operator of the deployment reads them.
        rules: The rules, by their subject.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        heartbeat: PipelineFunction,
        job_state: PipelineFunction,
        handle_failure: PipelineFunction,
        job_queues: Sequence[str],
        training_queues: Sequence[str],
        has_clusters: bool,
        pipeline: str,
        workflow: str,
    ) -> None:
        """Make the rules.

        Args:
            scope: Parent.
            construct_id: Id.
            heartbeat: Checks all active runs.
            job_state: Receives events of jobs and callers that end.
            handle_failure: Ends runs.
            job_queues: ARNs of the queues whose jobs are ours.
            training_queues: ARNs of the queues whose service jobs are ours, if there are any.
            has_clusters: Whether agents of clusters report jobs, too.
            pipeline: ARN of the inner machine.
            workflow: ARN of our own outer machine. Those of other callers are not known here: their runs are cancelled
                once they have had no caller for longer than a caller's own retries take.
        """
        super().__init__(scope, construct_id)
        self.lost_events = self._new_queue()
        for function in (job_state, handle_failure):
            self._keep_what_fails(function)
        # A run that misses one tick is checked at the next one.
        lambda_.CfnEventInvokeConfig(
            self,
            "HeartbeatCalls",
            function_name=heartbeat.function.function_name,
            qualifier="$LATEST",
            maximum_retry_attempts=0,
            maximum_event_age_in_seconds=HEARTBEAT_CALL_SECONDS,
        )
        every_few_minutes = events.Rule(
            self,
            "EveryFewMinutes",
            description="Gaitway: keep queued runs alive",
            schedule=events.Schedule.rate(cdk.Duration.seconds(HEARTBEAT_CALL_SECONDS)),
            targets=[targets.LambdaFunction(heartbeat.function)],
        )
        job_ended = events.Rule(
            self,
            "JobEnded",
            description="Gaitway: a job succeeded, or failed and is attempted no more",
            event_pattern=events.EventPattern(
                source=["aws.batch"],
                detail_type=["Batch Job State Change"],
                detail={"status": ["SUCCEEDED", "FAILED"], "jobQueue": list(job_queues)},
            ),
            targets=[self._target(job_state)],
        )
        # Only names from an event's detail are passed on: EventBridge does not escape values that it puts into a
        # template, and an error's cause is free text
        # (docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html).
        execution_ended = self._on_end(
            "ExecutionEnded",
            "a run's execution was stopped, timed out or failed",
            pipeline,
            handle_failure,
            {"ended_execution": {"execution_arn": _detail("executionArn"), "status": _detail("status")}},
        )
        caller_ended = self._on_end(
            "CallerEnded",
            "an execution that may wait for a run has ended",
            workflow,
            job_state,
            {"ended_caller": {"execution_name": _detail("name"), "status": _detail("status")}},
        )
        self.rules = {
            "every-few-minutes": every_few_minutes,
            "job-ended": job_ended,
            "execution-ended": execution_ended,
            "caller-ended": caller_ended,
        }
        if training_queues:
            # Two rules, since an alarm counts the calls of the second: Batch has no metric of failed jobs.
            for name, construct, status, what in (
                ("training-ended", "TrainingEnded", "SUCCEEDED", "succeeded"),
                (FAILED_TRAININGS, "TrainingFailed", "FAILED", "failed, and is attempted no more"),
            ):
                self.rules[name] = events.Rule(
                    self,
                    construct,
                    description=f"Gaitway: a job on SageMaker {what}",
                    event_pattern=events.EventPattern(
                        source=["aws.batch"],
                        detail_type=["Batch Service Job State Change"],
                        detail={"status": [status], "jobQueue": list(training_queues)},
                    ),
                    targets=[self._target(job_state)],
                )
        if has_clusters:
            self.rules["cluster-job-ended"] = events.Rule(
                self,
                "ClusterJobEnded",
                description="Gaitway: a job on a cluster ended",
                event_pattern=events.EventPattern(
                    source=["gaitway.agent"],
                    detail_type=["Gaitway Job State Change"],
                    detail={"state": ["succeeded", "failed"]},
                ),
                targets=[self._target(job_state)],
            )

    def _on_end(
        self, construct_id: str, description: str, machine: str, function: PipelineFunction, message: dict[str, object]
    ) -> events.Rule:
        """Call a function when an execution of a machine ends without success."""
        return events.Rule(
            self,
            construct_id,
            description=f"Gaitway: {description}",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={"status": list(_UNSUCCESSFUL), "stateMachineArn": [machine]},
            ),
            targets=[self._target(function, events.RuleTargetInput.from_object(message))],
        )

    def _target(self, function: PipelineFunction, message: events.RuleTargetInput | None = None) -> events.IRuleTarget:
        return targets.LambdaFunction(function.function, event=message, dead_letter_queue=self.lost_events)

    def _keep_what_fails(self, function: PipelineFunction) -> None:
        """Keep the events on which a function fails, with the error, after Lambda has tried twice more."""
        # The construct for destinations allows more than sending.
        lambda_.CfnEventInvokeConfig(
            self,
            f"{function.node.id}Calls",
            function_name=function.function.function_name,
            qualifier="$LATEST",
            maximum_retry_attempts=2,
            destination_config=lambda_.CfnEventInvokeConfig.DestinationConfigProperty(
                on_failure=lambda_.CfnEventInvokeConfig.OnFailureProperty(destination=self.lost_events.queue_arn)
            ),
        ).node.add_dependency(function.role)
        function.allow("sqs:SendMessage", on=[self.lost_events.queue_arn])

    def _new_queue(self) -> sqs.Queue:
        queue = sqs.Queue(
            self,
            "LostEvents",
            # EventBridge cannot use a key of KMS's own for SQS.
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(14),
        )
        acknowledge(queue, "SQS3", "This is the dead-letter queue; nothing reads it that could fail again.")
        return queue


def _detail(field: str) -> str:
    return events.EventField.from_path(f"$.detail.{field}")
