"""The inner machine: one execution brings one run to its end, and its caller receives the outcome.

A successful run goes through the `STEPS`, one after the other. Every error leads to HandleFailure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gaitway.contracts.limits import JOB_HEARTBEAT_TIMEOUT_SECONDS, PIPELINE_TIMEOUT_SECONDS
from statemachines.states import State, call, call_and_wait, catch

_RUN = {"run_id.$": "$.run_id", "execution_arn.$": "$$.Execution.Id"}
"""The input that every function gets."""
_JOB = {**_RUN, "job.$": "$.job"}


class Step(NamedTuple):
    """A step of a successful run."""

    state: State
    """The state, without its next state and its catchers."""
    is_optional: bool = False
    """Whether the run continues with the next step if this one fails."""
    catch: tuple[State, ...] = ()
    """Catchers for errors that lead to another state than HandleFailure."""


STEPS: dict[str, Step] = {
    "ConstructRun": Step(
        call(
            "construct_run",
            {**_RUN, "message.$": "$.message"},
            "Resolve the request: every default filled in, every input an address that exists.",
            ResultSelector={"run_id.$": "$.Payload.run_id", "timeout_seconds.$": "$.Payload.timeout_seconds"},
        )
    ),
    "SubmitJob": Step(
        call_and_wait(
            "submit_job",
            {**_RUN, "timeout_seconds.$": "$.timeout_seconds", "task_token.$": "$$.Task.Token"},
            "The job answers the token. Each attempt has a token of its own; a job that is alive is adopted, not "
            "started twice.",
            TimeoutSecondsPath="$.timeout_seconds",
            HeartbeatSeconds=JOB_HEARTBEAT_TIMEOUT_SECONDS,
            ResultPath="$.job",
        ),
        catch=(catch("States.HeartbeatTimeout", to="NameHeartbeatTimeout", into="$.error"),),
    ),
    "CheckResults": Step(
        call(
            "collect_results",
            {**_JOB, "step": "check"},
            "Compare what the job left in S3 with its manifest.",
            ResultPath=None,
        )
    ),
    "PublishResults": Step(
        call(
            "collect_results",
            {**_JOB, "step": "publish"},
            "Publish the results, so that they can be found elsewhere. No run fails because that fails.",
            ResultPath=None,
        ),
        is_optional=True,
    ),
    "ConcludeRun": Step(
        call(
            "collect_results",
            {**_JOB, "step": "conclude"},
            "Record the run's success, and tell the caller.",
            ResultSelector={"run_id.$": "$.Payload.run_id", "manifest.$": "$.Payload.manifest"},
        )
    ),
}
"""The steps by name, in order. A step that must come before the report to the caller goes in front of the last one."""

_FAILURE = {**_RUN, "error.$": "$.error"}
_FAILURE_RESULT = {
    "ResultSelector": {"error.$": "$.Payload.error", "cause.$": "$.Payload.cause"},
    "ResultPath": "$.failure",
}
_ENDS: dict[str, State] = {
    "RunSucceeded": {"Type": "Succeed"},
    "NameHeartbeatTimeout": {
        "Type": "Pass",
        "Comment": "What a Catch receives calls a missed heartbeat States.Timeout, like any other timeout.",
        "Result": {"Error": "States.HeartbeatTimeout", "Cause": ""},
        "ResultPath": "$.error",
        "Next": "HandleFailure",
    },
    "HandleFailure": {
        **call(
            "handle_failure",
            _FAILURE,
            "Stop the job, save what it left on EFS, and tell the caller, which takes a minute; what it left may take "
            "the function's own five.",
            **_FAILURE_RESULT,
        ),
        "Catch": [catch("States.ALL", to="TellCaller", into="$.unhandled")],
        "Next": "RunFailed",
    },
    "TellCaller": {
        **call(
            "tell_caller",
            _FAILURE,
            "The same without the file system, which may be what kept HandleFailure from starting: what is on it is "
            "saved when the rule on executions that ended calls HandleFailure again.",
            **_FAILURE_RESULT,
        ),
        "Catch": [catch("States.ALL", to="FailureNotHandled", into="$.untold")],
        "Next": "RunFailed",
    },
    "RunFailed": {"Type": "Fail", "ErrorPath": "$.failure.error", "CausePath": "$.failure.cause"},
    "FailureNotHandled": {
        "Type": "Fail",
        "Comment": "The rule on executions that ended calls the function again, and so does Lambda until it succeeds; "
        "the heartbeat looks, too.",
        "ErrorPath": "$.error.Error",
        "CausePath": "States.JsonToString($.error)",
    },
}


def pipeline(steps: Mapping[str, Step] = STEPS) -> State:
    """Build the machine.

    Args:
        steps: The steps of a run, by name and in order.
    """
    names = [*steps, "RunSucceeded"]
    return {
        "Comment": "The inner machine: one execution brings one run to its end, and its caller receives the outcome. "
        "Input: {run_id, message}.",
        "StartAt": names[0],
        "TimeoutSeconds": PIPELINE_TIMEOUT_SECONDS,
        "States": {
            **{name: _linked(step, after) for (name, step), after in zip(steps.items(), names[1:], strict=True)},
            **_ENDS,
        },
    }


def _linked(step: Step, after: str) -> State:
    """Add a step's next state and catchers; states that only pass or wait have no catchers."""
    if step.state["Type"] != "Task":
        return {**step.state, "Next": after}
    other = (
        catch("States.ALL", to=after) if step.is_optional else catch("States.ALL", to="HandleFailure", into="$.error")
    )
    return {**step.state, "Catch": [*step.catch, other], "Next": after}
