"""What VAMS, and our own outer workflow, send; converted to the models of `gaitway.contracts.message`."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from gaitway.contracts.documents import check_document, load_json
from gaitway.contracts.errors import RequestError
from gaitway.contracts.message import Caller, Message, ReceivedMessage
from gaitway.contracts.model import BucketName, Received, S3Key, S3Uri, S3UriField, UserModel
from gaitway.contracts.request import validate
from gaitway.contracts.run import output_prefix_of, run_id_of, run_id_of_digest, to_json
from gaitway.contracts.vams import REFUSED_SUFFIXES, VAMS

MAX_OUTPUT_KEY_BYTES = 640
"""Of the 1024 characters of a key in S3: the path's id may be repeated in it, and the libraries name files after the
task."""


class VamsMessage(UserModel, Received):
    """What VAMS, and our own outer workflow, put into `body`. The task token is kept apart."""

    model_config = ConfigDict(extra="ignore")  # VAMS may add fields; these are the ones that we use

    input_parameters: dict[str, Any] | str | None = None
    """The request, as an object or its JSON text."""
    output_s3_asset_files_path: Annotated[S3UriField, Field(alias="outputS3AssetFilesPath")]
    """Where the run's files go. The run's id is made from it, so that no two runs may share it; except the steps of one
    workflow in VAMS, from the second on."""
    input_s3_asset_file_path: Annotated[S3UriField | None, Field(alias="inputS3AssetFilePath")] = None
    """A `.json` file is merged over `inputParameters`; with any other file, a policy is searched for beside it."""
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
    """Prefix of the asset in it: a relative path of a request is searched for beside the input file first, then
    there."""
    output_type: str | None = None
    """VAMS's own; not used."""
    executing_user_name: str | None = None
    """VAMS's own; not used."""

    @model_validator(mode="before")
    @classmethod
    def _empty_means_none(cls, data: object) -> object:
        # VAMS sends every field; one that does not apply is an empty string.
        return {key: value for key, value in data.items() if value != ""} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _own_outputs(self) -> Self:
        key = self.output_s3_asset_files_path.key
        # The run may write every key with this prefix: a whole bucket is too much, and so are the matches of a
        # wildcard.
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
        """The JSON file whose content is merged over `inputParameters`; None if the input is any other file."""
        file = self.input_s3_asset_file_path
        return file if file is not None and file.key.lower().endswith(".json") else None

    @property
    def follows_another_step(self) -> bool:
        """Whether an earlier step of the same workflow has written to the output path.

        VAMS gives all steps one output path, and from the second on that is their input, too:
        github.com/awslabs/visual-asset-management-system, handlers/workflows/createWorkflow.py.
        """
        return self.input_s3_asset_file_path == self.output_s3_asset_files_path

    @property
    def digest(self) -> str:
        """Digest of the whole message, which distinguishes a repeated request from a different one.

        Records of older versions hold it, too.
        """
        return hashlib.sha256(json.dumps(to_json(self), sort_keys=True).encode()).hexdigest()

    @property
    def run_id(self) -> str:
        """The requested run: named after its output path, or after the whole message if steps share that path.

        A step that is retried sends the same message, and so means the same run.
        """
        return (
            run_id_of_digest(self.digest) if self.follows_another_step else run_id_of(self.output_s3_asset_files_path)
        )

    def neutral(self) -> Message:
        """Convert it to the model for all kinds of callers."""
        file, files_path = self.input_s3_asset_file_path, self.output_s3_asset_files_path
        config_file = self.config_file
        output_files = files_path / "" if self.follows_another_step else output_prefix_of(files_path)
        metadata = self.output_s3_asset_metadata_path
        if metadata is not None:
            # VAMS finds the file by its path, which is the same below the metadata path as below the files path.
            metadata = metadata / output_files.key.removeprefix((files_path / "").key)
        return Message(
            caller=Caller(kind=VAMS, refused_suffixes=sorted(REFUSED_SUFFIXES)),
            request=self.input_parameters,
            request_file=config_file,
            input_file=file if config_file is None else None,
            folders=self._folders(),
            output_files=output_files,
            output_metadata=metadata,
            shares_outputs=self.follows_another_step,
        )

    def _folders(self) -> list[S3Uri]:
        """List the places for a relative path: the first step's outputs, the input file's folder, and the asset's."""
        folders = [output_prefix_of(self.output_s3_asset_files_path)] if self.follows_another_step else []
        file = self.input_s3_asset_file_path
        if file is not None:
            is_folder = not file.key or file.key.endswith("/")
            folders.append(file if is_folder else file.parent)
        if self.bucket_asset is not None and self.input_asset_location_key is not None:
            folders.append(S3Uri(self.bucket_asset, self.input_asset_location_key) / "")
        return list(dict.fromkeys(folders))


def find_task_token(event: object) -> str | None:
    """Find the caller's task token, even in an otherwise unreadable event, so that the caller gets an answer.

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
        check_document(VamsMessage.model_fields[field].alias or field, value)
    return ReceivedMessage(message=message.neutral(), run_id=message.run_id, digest=message.digest, task_token=token)


def _parse_body(body: object) -> dict[str, Any]:
    """Read the message; an error must not show any of it, since it holds the token."""
    if isinstance(body, str):
        body = load_json("body", body, is_secret=True)
    if not isinstance(body, dict):
        raise RequestError(f"body is a {type(body).__name__}, allowed: a JSON object, or its text")
    return body


def read_older(message: object) -> object:
    """Read a message that a version before November 2026 passed on as VAMS had sent it; leave any other unchanged."""
    if isinstance(message, dict) and "outputS3AssetFilesPath" in message:
        return VamsMessage.receive(message).neutral()
    return message
