"""The outer machine, for deployments without VAMS: it requests a run as a VAMS workflow does, and waits for its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaitway.contracts.limits import CALLER_LIMITS, WORKFLOW_TIMEOUT_SECONDS
from statemachines.states import State, call_and_wait, catch

if TYPE_CHECKING:
    from gaitway.contracts.workload import Mode

_BUCKET = "${AssetBucketName}"
_DEFAULTS = {
    "inputParameters": "",
    "inputS3AssetFilePath": "",
    "bucketAsset": _BUCKET,
    "bucketAssetAuxiliary": _BUCKET,
    "assetId": "",
    "databaseId": "",
    "workflowDatabaseId": "",
    "workflowId": "",
    "inputAssetFileKey": "",
    "inputAssetLocationKey": "",
    "outputType": "",
    "inputMetadata": "",
    "executingUserName": "workflow",
    "executingRequestContext": "",
}
"""The fields that VAMS sends, with their defaults without VAMS; all of them are passed to launch."""
_OUTPUTS = {"Files": "files", "Preview": "previews", "Metadata": "metadata"}
"""VAMS's fields for the paths of the outputs, and the last part of each path."""


def workflow() -> State:
    """Build the machine."""
    return {
        "Comment": "The outer machine, for deployments without VAMS: it asks for a run as a VAMS workflow does, and "
        "waits for its end. Input: {mode, inputParameters, inputS3AssetFilePath, and whatever else VAMS sends}, all "
        "optional.",
        "StartAt": "Defaults",
        "TimeoutSeconds": WORKFLOW_TIMEOUT_SECONDS,
        "States": {
            "Defaults": {
                "Type": "Pass",
                "Comment": "A path that leads nowhere would end the execution without its failure path.",
                "Result": {**_DEFAULTS, "mode": "train"},
                "ResultPath": "$.defaults",
                "Next": "FillIn",
            },
            "FillIn": {
                "Type": "Pass",
                "Parameters": {"request.$": "States.JsonMerge($.defaults, $$.Execution.Input, false)"},
                "OutputPath": "$.request",
                "Next": "ChooseMode",
            },
            "ChooseMode": {
                "Type": "Choice",
                "Choices": [
                    {"Variable": "$.mode", "StringEquals": mode, "Next": _state_of(mode)} for mode in CALLER_LIMITS
                ],
                "Default": "UnknownMode",
            },
            **{_state_of(mode): _run(mode) for mode in CALLER_LIMITS},
            "RunSucceeded": {"Type": "Succeed"},
            "UnknownMode": {
                "Type": "Fail",
                "Error": "RequestError",
                "CausePath": f"States.Format('mode is {{}}, allowed: {', '.join(CALLER_LIMITS)}', "
                "States.JsonToString($.mode))",
            },
            "HeartbeatTimedOut": {
                "Type": "Fail",
                "Error": "States.HeartbeatTimeout",
                "Cause": "The run gave no sign of life for longer than its heartbeat allows "
                f"({_by_mode('heartbeat_seconds')}). Its record in the run table and the log of its job tell what it "
                "was doing.",
            },
            "TimedOut": {
                "Type": "Fail",
                "Error": "States.Timeout",
                "Cause": f"The run did not end in time ({_by_mode('timeout_seconds')}). Ask for fewer iterations or "
                "episodes, or train on from its last checkpoint with resumeCheckpoint.",
            },
            "RunFailed": {"Type": "Fail", "ErrorPath": "$.error.Error", "CausePath": "$.error.Cause"},
        },
    }


def _state_of(mode: Mode) -> str:
    return f"{mode.title()}Policy"


def _run(mode: Mode) -> State:
    """Request a run, and wait for its end."""
    limits = CALLER_LIMITS[mode]
    message = {
        "TaskToken.$": "$$.Task.Token",
        **{f"{name}.$": f"$.{name}" for name in _DEFAULTS},
        **{f"outputS3Asset{name}Path.$": _path(f"output/{{}}/{folder}/", 2) for name, folder in _OUTPUTS.items()},
        "inputOutputS3AssetAuxiliaryFilesPath.$": _path("auxiliary/", 1),
    }
    state = call_and_wait(
        "launch",
        {"body": message},
        "The run answers the token.",
        TimeoutSeconds=limits.timeout_seconds,
        HeartbeatSeconds=limits.heartbeat_seconds,
    )
    return {
        **state,
        "Catch": [
            catch("States.HeartbeatTimeout", to="HeartbeatTimedOut"),
            catch("States.Timeout", to="TimedOut"),
            catch("States.ALL", to="RunFailed", into="$.error"),
        ],
        "Next": "RunSucceeded",
    }


def _path(below: str, names: int) -> str:
    """Return a path of the execution's own, with the execution's name in the given number of places."""
    return f"States.Format('s3://{_BUCKET}/runs/{{}}/{below}', {', '.join(['$$.Execution.Name'] * names)})"


def _by_mode(limit: str) -> str:
    return ", ".join(f"{getattr(limits, limit)} s to {mode}" for mode, limits in CALLER_LIMITS.items())
