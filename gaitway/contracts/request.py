"""The request: what a user, or a VAMS workflow, asks for (design, section 3).

`parse_message` reads what the launch function receives; `parse_request` reads the parameters in it. Every error names
the field, the value and what is allowed.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from gaitway.contracts.documents import MAX_VALUE_CHARACTERS, check_document, merge, parse_json_object, shorten
from gaitway.contracts.errors import RequestError
from gaitway.contracts.model import BucketName, S3Key, S3Uri, S3UriField, UserModel

M = TypeVar("M", bound=BaseModel)

Mode = Literal["train", "evaluate"]
RlLibrary = Literal["rsl_rl", "rl_games", "skrl"]

DEFAULT_NUM_ENVS: dict[Mode, int] = {"train": 4096, "evaluate": 100}
MAX_FINDINGS = 20
"""A message names no more; a file of another kind has thousands of unknown keys, which nobody reads."""
MAX_OUTPUT_KEY_BYTES = 640
"""Of S3's 1024: the id that stands in it may stand in it once more, and the libraries name files after the task."""

AssetPath = Annotated[str, Field(min_length=1, max_length=1024)]
"""Path relative to the asset, or an S3 URI."""

HydraOverride = Annotated[str, Field(max_length=1024, pattern=r"^[~+]{0,2}[A-Za-z_][^\s=\x00-\x1f]*(=[^\x00-\x1f]*)?$")]
"""Hydra's grammar, and nothing that an argument parser takes for an option of its own, or that ends an argument."""


class TrainingConfig(UserModel):
    """What to train or evaluate, and how."""

    mode: Mode = "train"
    """Train a policy, or evaluate one."""
    task: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.:/-]+$")] = "Isaac-Cartpole-v0"
    """Task name as registered in Gymnasium."""
    num_envs: Annotated[int, Field(ge=1, le=1_000_000)] = DEFAULT_NUM_ENVS["train"]
    """Parallel environments; 4096 to train, 100 to evaluate when not given."""
    max_iterations: Annotated[int, Field(ge=1, le=10_000_000)] = 1500
    """Total budget of the run, however often it is resumed."""
    rl_library: RlLibrary = "rsl_rl"
    """Library that trains, with the settings of the task for it; to evaluate, the one that the policy is from."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """The library's own default when null."""
    checkpoint_interval: Annotated[int, Field(ge=1)] | None = None
    """Iterations between checkpoints; the library's own default when null."""
    resume_checkpoint: AssetPath | None = None
    """Weights to start from: S3 URI, or path relative to the asset."""
    hydra_overrides: list[HydraOverride] = Field(default_factory=list)
    """Passed through to Isaac Lab: `agent.algorithm.learning_rate=0.001`."""
    num_episodes: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    """Episodes to evaluate."""
    steps_per_episode: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """An episode is cut off here."""
    record_video: bool = False
    """Whether to record videos, in both modes."""
    checkpoint_path: AssetPath | None = None
    """Policy to evaluate, relative to the asset."""
    policy_s3_uri: Annotated[S3UriField | None, Field(alias="policyS3Uri")] = None
    """Policy to evaluate."""
    policy_path: AssetPath | None = None
    """Policy to evaluate, relative to the asset."""
    custom_environment_path: AssetPath | None = None
    """Package that registers further tasks (.tar.gz, .zip, .whl), relative to the asset."""
    custom_environment_s3_uri: Annotated[S3UriField | None, Field(alias="customEnvironmentS3Uri")] = None
    """Package that registers further tasks (.tar.gz, .zip, .whl)."""

    @model_validator(mode="before")
    @classmethod
    def _default_num_envs(cls, data: object) -> object:
        if not isinstance(data, dict) or data.get("numEnvs", data.get("num_envs")) is not None:
            return data
        mode = data.get("mode")
        given = {key: value for key, value in data.items() if key not in ("numEnvs", "num_envs")}
        return given | {"numEnvs": DEFAULT_NUM_ENVS["evaluate" if mode == "evaluate" else "train"]}

    @model_validator(mode="after")
    def _contradictions(self) -> Self:
        policies = ("checkpoint_path", "policy_s3_uri", "policy_path")
        _at_most_one(self, policies)
        _at_most_one(self, ("custom_environment_path", "custom_environment_s3_uri"))
        if self.mode == "train":
            for field in policies:
                if getattr(self, field) is not None:
                    raise ValueError(f"{_alias(self, field)} names a policy to evaluate, but mode is train")
        elif self.resume_checkpoint is not None:
            raise ValueError("resumeCheckpoint names weights to train from, but mode is evaluate")
        for field in ("custom_environment_path", "custom_environment_s3_uri"):
            archive = getattr(self, field)
            if archive is not None and not str(archive).endswith((".tar.gz", ".zip", ".whl")):
                raise ValueError(f"{_alias(self, field)} is {str(archive)!r}, allowed: .tar.gz, .zip, .whl")
        return self


class ComputeConfig(UserModel):
    """Where it runs."""

    num_nodes: Annotated[int, Field(ge=1, le=64)] = 1
    """More than one: a multi-node parallel job."""
    gpus_per_node: Annotated[int, Field(ge=1, le=8)] = 1
    """torchrun processes per node."""
    max_cost_usd: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] | None = None
    """The run is ended when its machines have cost this much, all attempts together; a training saves a checkpoint
    first, within two minutes. No limit when null."""


class Request(UserModel):
    """The parameters of a run: `inputParameters`, merged over by the JSON file beside it."""

    name: Annotated[str, Field(max_length=256)] | None = None
    """What people call the run."""
    description: Annotated[str, Field(max_length=4096)] | None = None
    """Kept with the run, for people."""
    training_config: TrainingConfig = Field(default_factory=TrainingConfig)
    """What to train or evaluate."""
    compute_config: ComputeConfig = Field(default_factory=ComputeConfig)
    """Where it runs, and for how much."""
    custom_environment_path: AssetPath | None = None
    """Also accepted in trainingConfig."""
    custom_environment_s3_uri: Annotated[S3UriField | None, Field(alias="customEnvironmentS3Uri")] = None
    """Also accepted in trainingConfig."""

    @model_validator(mode="before")
    @classmethod
    def _custom_environment_belongs_to_training(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        training = data.get("trainingConfig")
        for key in ("customEnvironmentPath", "customEnvironmentS3Uri"):
            value = data.pop(key, None)
            if value is None:
                continue
            if training is not None and not isinstance(training, dict):
                continue
            training = dict(training or {})
            if training.get(key) not in (None, value):
                raise ValueError(f"{key} stands at the top level and in trainingConfig with different values")
            training[key] = value
            data["trainingConfig"] = training
        return data

    @model_validator(mode="after")
    def _contradictions(self) -> Self:
        if self.training_config.mode == "evaluate" and self.compute_config.num_nodes > 1:
            raise ValueError(
                f"computeConfig.numNodes is {self.compute_config.num_nodes}, but an evaluation runs on one node"
            )
        if self.training_config.mode == "evaluate" and self.compute_config.gpus_per_node > 1:
            raise ValueError(
                f"computeConfig.gpusPerNode is {self.compute_config.gpus_per_node}, but an evaluation runs on one GPU"
            )
        return self


class VamsMessage(UserModel):
    """What VAMS, and our own outer workflow, put into `body`. The task token is kept apart: see `ReceivedMessage`."""

    model_config = ConfigDict(extra="ignore")  # VAMS may add fields; these are the ones that we use

    input_parameters: dict[str, Any] | str | None = None
    """The request, as an object or its JSON text."""
    output_s3_asset_files_path: Annotated[S3UriField, Field(alias="outputS3AssetFilesPath")]
    """Where the run's files go; it makes the run's id, so that no two runs may share it, but for the steps of one
    workflow in VAMS, from the second on."""
    input_s3_asset_file_path: Annotated[S3UriField | None, Field(alias="inputS3AssetFilePath")] = None
    """A `.json` is merged over `inputParameters`; beside any other file a policy is looked for."""
    output_s3_asset_preview_path: Annotated[S3UriField | None, Field(alias="outputS3AssetPreviewPath")] = None
    """Not used."""
    output_s3_asset_metadata_path: Annotated[S3UriField | None, Field(alias="outputS3AssetMetadataPath")] = None
    """Where VAMS's metadata files go."""
    input_output_s3_asset_auxiliary_files_path: Annotated[
        S3UriField | None, Field(alias="inputOutputS3AssetAuxiliaryFilesPath")
    ] = None
    """Not used."""
    bucket_asset: BucketName | None = None
    """Bucket of the asset."""
    bucket_asset_auxiliary: str | None = None
    """Not used."""
    asset_id: str | None = None
    """VAMS's own; not used."""
    database_id: str | None = None
    """VAMS's own; not used."""
    workflow_database_id: str | None = None
    """VAMS's own; not used."""
    workflow_id: str | None = None
    """VAMS's own; not used."""
    input_asset_file_key: str | None = None
    """VAMS's own; not used."""
    input_asset_location_key: S3Key | None = None
    """Prefix of the asset in it: a relative path of a request is looked for beside the input file first, then there."""
    output_type: str | None = None
    """VAMS's own; not used."""
    executing_user_name: str | None = None
    """VAMS's own; not used."""

    @model_validator(mode="before")
    @classmethod
    def _empty_means_none(cls, data: object) -> object:
        # VAMS hands over every field; one that does not apply is an empty string.
        return {key: value for key, value in data.items() if value != ""} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _own_outputs(self) -> Self:
        key = self.output_s3_asset_files_path.key
        # The run may write whatever begins like this: a whole bucket is too much, and so is what wildcards match.
        if not key.strip("/") or set(key) & set("*?"):
            raise ValueError(
                f"outputS3AssetFilesPath is {self.output_s3_asset_files_path}, allowed: a folder of its own for each "
                "run, without * and ? in its name"
            )
        size = len(key.encode())
        if size > MAX_OUTPUT_KEY_BYTES:
            raise ValueError(
                f"outputS3AssetFilesPath has a key of {size} bytes, allowed: {MAX_OUTPUT_KEY_BYTES}, which leaves room "
                "for the names of the files below it"
            )
        return self

    @property
    def config_file(self) -> S3Uri | None:
        """The JSON file whose content is merged over `inputParameters`; None where the input is any other file."""
        file = self.input_s3_asset_file_path
        return file if file is not None and file.key.lower().endswith(".json") else None

    @property
    def follows_another_step(self) -> bool:
        """Whether an earlier step of the same workflow has written to the output path.

        VAMS gives all steps one output path, and from the second on that is their input, too:
        github.com/awslabs/visual-asset-management-system, handlers/workflows/createWorkflow.py.
        """
        return self.input_s3_asset_file_path == self.output_s3_asset_files_path


class ReceivedMessage(UserModel):
    """A message as it arrived, and the token of the task that waits for its run."""

    message: VamsMessage
    task_token: Annotated[str, Field(min_length=1, repr=False)]


def find_task_token(event: object) -> str | None:
    """Find the caller's task token, even in an event that is otherwise unreadable, so that the caller can be told.

    Args:
        event: What the launch function received: `{"body": object or JSON string}`.
    """
    body = event.get("body", event) if isinstance(event, dict) else event
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except (ValueError, RecursionError):
            match = re.search(r'\\?"TaskToken\\?"\s*:\s*\\?"([^"\\]+)', body)
            return match[1] if match else None
    token = body.get("TaskToken") if isinstance(body, dict) else None
    return token if isinstance(token, str) and token else None


def parse_message(event: object) -> ReceivedMessage:
    """Read what the launch function received.

    Raises:
        RequestError: The event, or its `body`, is not what VAMS sends.
    """
    body = event.get("body") if isinstance(event, dict) else None
    if body is None:
        raise RequestError("body is missing: send the message of the run as {'body': {...}} or {'body': '<JSON>'}")
    document = _parse_body(body)
    token = find_task_token(event)
    if token is None:
        raise RequestError("TaskToken is missing in body: the caller could not be told how the run ends")
    message = validate(VamsMessage, {key: value for key, value in document.items() if key != "TaskToken"})
    for field, value in message:
        check_document(_alias(message, field), value)
    return ReceivedMessage(message=message, task_token=token)


def _parse_body(body: object) -> dict[str, Any]:
    """Read the message; an error must not show any of it, since it holds the token."""
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError as error:
            raise RequestError(f"body is text that is no JSON ({error}), allowed: a JSON object, or its text") from None
        except RecursionError:
            raise RequestError("body is nested too deeply, allowed: the message as documented") from None
    if not isinstance(body, dict):
        raise RequestError(f"body is a {type(body).__name__}, allowed: a JSON object, or its text")
    return body


def parse_request(*documents: object) -> Request:
    """Read a request; later documents are merged over earlier ones, key by key.

    Args:
        documents: JSON objects, JSON strings, or None and empty strings for nothing.

    Raises:
        RequestError: Names every wrong field with its value and what is allowed.
    """
    merged: dict[str, Any] = {}
    for document in documents:
        if document is not None and document != "":
            merged = merge(merged, parse_json_object("inputParameters", document))
    return validate(Request, merged)


def validate(model: type[M], document: object) -> M:
    """Check a document against a model.

    Raises:
        RequestError: Every wrong field with its value and what is allowed.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        findings = error.errors(include_url=False)
        described = [_describe(model, finding) for finding in findings[:MAX_FINDINGS]]
        if len(findings) > MAX_FINDINGS:
            described.append(f"and {len(findings) - MAX_FINDINGS} more")
        raise RequestError("; ".join(described)) from None


def _describe(model: type[BaseModel], finding: ErrorDetails) -> str:
    """Turn one of pydantic's findings into a sentence with field, value and what is allowed."""
    location = [str(part) for part in finding["loc"]]
    path = ".".join(part if len(part) <= MAX_VALUE_CHARACTERS else shorten(part) for part in location)
    if finding["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.5)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return f"{path} is no known key{hint}, allowed: {', '.join(known)}"
    if finding["type"] == "missing":
        return f"{path} is missing"
    reason = str(finding["msg"]).removeprefix("Value error, ")
    if not path or (finding["type"] == "value_error" and isinstance(finding["input"], dict)):
        return reason
    return f"{path} is {shorten(finding['input'])}, allowed: {reason.removeprefix('Input should be ')}"


def _known_keys(model: type[BaseModel], location: list[str]) -> list[str]:
    """List the keys of the model that stands at a location."""
    for part in location:
        for name, field in model.model_fields.items():
            if part in (name, field.alias):
                candidates = (field.annotation, *get_args(field.annotation))
                model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return [field.alias or name for name, field in model.model_fields.items()]


def _at_most_one(model: BaseModel, fields: tuple[str, ...]) -> None:
    given = [_alias(model, field) for field in fields if getattr(model, field) is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} are given, allowed: one of them")


def _alias(model: BaseModel, field: str) -> str:
    return type(model).model_fields[field].alias or field
