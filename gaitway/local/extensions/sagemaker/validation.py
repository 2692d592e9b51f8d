"""Whether a request is one that SageMaker takes: by botocore's model of it, and by what its pages say beyond that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
from botocore.model import Shape

from gaitway.local.extensions.sagemaker.errors import SageMakerError
from gaitway.local.services import Json

_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "double": (int, float),
    "float": (int, float),
}
_MAX_RUNTIME_SECONDS = 28 * 24 * 3600
"""docs.aws.amazon.com/sagemaker/latest/APIReference/API_StoppingCondition.html"""
_MAX_WARM_SECONDS = 3600
"""docs.aws.amazon.com/sagemaker/latest/dg/train-warm-pools.html"""


def check_training_job(request: Json) -> None:
    """Check the request of CreateTrainingJob.

    Raises:
        SageMakerError: It is wrong, or asks for something that the embedded SageMaker does not supply.
    """
    findings = [*_findings("", request, _shape("CreateTrainingJob"))]
    if not findings:
        findings = [*_contradictions(request)]
    if findings:
        count = f"{len(findings)} validation error{'s' if len(findings) > 1 else ''} detected"
        raise SageMakerError("ValidationException", f"{count}: {'; '.join(findings)}")
    for what in _unsupported(request):
        raise SageMakerError("ValidationException", f"{what} is not supported by the embedded SageMaker")


@cache
def _shape(operation: str) -> Shape:
    model = botocore.session.Session().get_service_model("sagemaker")
    shape = model.operation_model(operation).input_shape
    assert shape is not None
    return shape


def _findings(place: str, given: object, shape: Any) -> Iterator[str]:  # noqa: ANN401 - botocore's shapes by kind
    named = place or "the request"
    kinds = _TYPES.get(shape.type_name)
    if kinds is None:
        return
    value: Any = given
    if not _is_one_of(value, kinds):
        yield f"Value {value!r} at '{named}' failed to satisfy constraint: Member must be of type {shape.type_name}"
        return
    if shape.type_name == "structure":
        yield from _of_structure(place, value, shape)
    elif shape.type_name == "list":
        for index, item in enumerate(value, start=1):
            yield from _findings(f"{place}.{index}.member", item, shape.member)
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from _findings(f"{place}.key", key, shape.key)
            yield from _findings(f"{place}.{key}", item, shape.value)
    limits = shape.metadata
    size = value if isinstance(value, int | float) else len(value)
    if size < limits.get("min", size) or size > limits.get("max", size):
        allowed = f"between {limits.get('min', 0)} and {limits.get('max', 'any')}"
        yield f"Value at '{named}' failed to satisfy constraint: Member must have a value or length {allowed}"
    if isinstance(value, str):
        if "enum" in limits and value not in limits["enum"]:
            yield f"Value '{value}' at '{named}' failed to satisfy constraint: Member must satisfy enum value set"
        if "pattern" in limits and not re.fullmatch(_as_python(limits["pattern"]), value):
            yield f"Value '{value}' at '{named}' failed to satisfy regular expression pattern: {limits['pattern']}"


def _is_one_of(value: object, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def _of_structure(place: str, value: Json, shape: Any) -> Iterator[str]:  # noqa: ANN401
    for name in shape.required_members:
        if name not in value:
            yield f"Value null at '{_at(place, name)}' failed to satisfy constraint: Member must not be null"
    for name, item in value.items():
        if name not in shape.members:
            yield f"'{_at(place, name)}' is not a member of {shape.name}"
        elif item is not None:
            yield from _findings(_at(place, name), item, shape.members[name])


def _at(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _as_python(pattern: str) -> str:
    """Write a pattern of Java's for Python, which has no classes of Unicode."""
    return re.sub(r"\\p\{[LNZ]\}", r"\\w ", pattern)


def _contradictions(request: Json) -> Iterator[str]:
    stopping, resources = request.get("StoppingCondition", {}), request.get("ResourceConfig", {})
    runtime, wait = stopping.get("MaxRuntimeInSeconds", 86_400), stopping.get("MaxWaitTimeInSeconds")
    if "StoppingCondition" not in request:
        yield "StoppingCondition is required"
    if runtime > _MAX_RUNTIME_SECONDS:
        yield f"MaxRuntimeInSeconds {runtime} is above {_MAX_RUNTIME_SECONDS}"
    # docs.aws.amazon.com/sagemaker/latest/dg/model-managed-spot-training.html
    if request.get("EnableManagedSpotTraining"):
        if wait is None:
            yield "MaxWaitTimeInSeconds must be set when EnableManagedSpotTraining is true"
        elif wait < runtime:
            yield f"MaxWaitTimeInSeconds {wait} must be at least MaxRuntimeInSeconds {runtime}"
        if resources.get("KeepAlivePeriodInSeconds"):
            # docs.aws.amazon.com/sagemaker/latest/dg/train-warm-pools.html
            yield "KeepAlivePeriodInSeconds cannot be used with managed Spot training"
    elif wait is not None:
        yield "MaxWaitTimeInSeconds can be set for managed Spot training only"
    if resources.get("KeepAlivePeriodInSeconds", 0) > _MAX_WARM_SECONDS:
        yield f"KeepAlivePeriodInSeconds is above {_MAX_WARM_SECONDS}"
    for name in ("InstanceType", "InstanceCount", "VolumeSizeInGB"):
        if not resources.get(name):
            yield f"ResourceConfig.{name} is required"
    if "TrainingImage" not in request.get("AlgorithmSpecification", {}):
        yield "AlgorithmSpecification needs TrainingImage or AlgorithmName"
    channels = [channel["ChannelName"] for channel in request.get("InputDataConfig", [])]
    if len(channels) != len(set(channels)):
        yield "channel names must be unique"
    for channel in request.get("InputDataConfig", []):
        # docs.aws.amazon.com/sagemaker/latest/APIReference/API_FileSystemDataSource.html
        if "FileSystemDataSource" in channel["DataSource"] and "VpcConfig" not in request:
            yield f"channel {channel['ChannelName']} is a file system, which needs VpcConfig"


def _unsupported(request: Json) -> Iterator[str]:
    checkpoints = request.get("CheckpointConfig", {})
    if not checkpoints.get("LocalPath", "/opt/ml/checkpoints/").startswith("/opt/ml/"):
        yield f"CheckpointConfig.LocalPath {checkpoints['LocalPath']}, which is not below /opt/ml,"
    for name in ("DebugHookConfig", "TensorBoardOutputConfig", "RetryStrategy", "HyperParameters"):
        if request.get(name):
            yield name
    if request["ResourceConfig"].get("InstanceGroups"):
        yield "InstanceGroups"
    for channel in request.get("InputDataConfig", []):
        source = channel["DataSource"].get("FileSystemDataSource")
        if source is None or source["FileSystemType"] != "EFS":
            yield f"channel {channel['ChannelName']}, which is no file system of EFS,"
