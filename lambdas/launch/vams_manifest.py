"""The message of VAMS 2.6: the addresses of a manifest and of the parameters, instead of the message itself.

It is converted to the message of earlier versions, which the rest of the pipeline knows. From VAMS's documentation:
awslabs.github.io/visual-asset-management-system/pipelines/custom-pipelines, "The pipeline input contract".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from pydantic import ConfigDict, Field

from gaitway.contracts.documents import load_json, parse_json_object
from gaitway.contracts.errors import InputNotFoundError, RequestError
from gaitway.contracts.model import BucketName, S3Key, S3Uri, UserModel
from gaitway.contracts.request import validate
from lambdas.s3_errors import ABSENT, reason

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from lambdas.observability import Json

_MANIFEST = "inputManifestS3Location"
_CONFIGURATION = "inputConfigurationS3Location"
_MAX_BYTES = 1_048_576
_LATER_STEP = re.compile(r"/pipeline(?!1/)[0-9]+/manifest\.json$")
"""Each step of a workflow has its own folder for its manifest; the first one's is `pipeline1/`."""


class _Part(UserModel):
    model_config = ConfigDict(extra="ignore")  # VAMS may add fields; these are the ones that we use


class InputFile(_Part):
    """A file that the workflow was started with."""

    bucket: BucketName
    key: S3Key
    asset_root_s3_key: S3Key = ""
    """Prefix of its asset's files."""
    asset_id: str = ""
    database_id: str = ""


class Outputs(_Part):
    """The prefixes that all steps of the workflow write to."""

    bucket: BucketName
    files: S3Key
    previews: S3Key = ""
    metadata: S3Key = ""


class VamsManifest(_Part):
    """The manifest of a step."""

    input_files: list[InputFile] = Field(default_factory=list)
    outputs: Outputs


def with_manifest(event: Json, s3: S3Client) -> Json:
    """Read the manifest that an event names, and merge it into the event.

    Args:
        event: What the launch function received.
        s3: An S3 client.

    Returns:
        The event as earlier versions of VAMS send it; unchanged if it names no manifest, or is not such an event.

    Raises:
        InputNotFoundError: Manifest or parameters cannot be read.
        RequestError: The manifest is not what VAMS writes, or names several files.
    """
    body = _body(event)
    location = body.get(_MANIFEST)
    if not isinstance(location, str) or not location or body.get("outputS3AssetFilesPath"):
        return event
    text = _read(s3, _MANIFEST, location)
    if text is None:
        raise InputNotFoundError(f"{_MANIFEST} is {location}, but it does not exist")
    manifest = validate(VamsManifest, parse_json_object(_MANIFEST, text))
    fields = _fields(manifest, is_later_step=_LATER_STEP.search(location) is not None)
    parameters = body.get(_CONFIGURATION)
    if isinstance(parameters, str) and parameters:
        fields["inputParameters"] = (_read(s3, _CONFIGURATION, parameters) or "").strip()
    return event | {"body": body | fields}


def _body(event: Json) -> dict[str, Any]:
    body = event.get("body") if isinstance(event, dict) else None
    if isinstance(body, str):
        try:
            body = load_json("body", body, is_secret=True)
        except RequestError:
            # The message is read again, and refused then.
            return {}
    return body if isinstance(body, dict) else {}


def _fields(manifest: VamsManifest, *, is_later_step: bool) -> dict[str, str]:
    """Convert to the fields of the message before 2.6."""
    outputs = manifest.outputs
    places = {"Files": outputs.files, "Preview": outputs.previews, "Metadata": outputs.metadata}
    fields = {f"outputS3Asset{kind}Path": str(S3Uri(outputs.bucket, key)) for kind, key in places.items() if key}
    files = manifest.input_files
    if len(files) > 1 and not is_later_step:
        raise RequestError(f"inputFiles has {len(files)} files in the manifest, allowed: one, or none")
    if files:
        file = files[0]
        fields |= {"bucketAsset": file.bucket, "inputAssetLocationKey": file.asset_root_s3_key}
        fields |= {"assetId": file.asset_id, "databaseId": file.database_id}
        fields["inputS3AssetFilePath"] = str(S3Uri(file.bucket, file.key))
    if is_later_step:
        # It works on the outputs of the steps before it.
        fields["inputS3AssetFilePath"] = fields["outputS3AssetFilesPath"]
    return fields


def _read(s3: S3Client, field: str, location: str) -> str | None:
    """Read an object's text; None if it does not exist."""
    try:
        uri = S3Uri.parse(location)
        body = s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read(_MAX_BYTES)
        return body.decode("utf-8-sig")
    except ClientError as error:
        if error.response["Error"]["Code"] in ABSENT:
            return None
        raise InputNotFoundError(f"{field} is {location}, but {reason(error)}: see assetBuckets") from error
    except ValueError as error:
        raise RequestError(f"{field} is {location}, allowed: an S3 URI of UTF-8 text ({error})") from None
