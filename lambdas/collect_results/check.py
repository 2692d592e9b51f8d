"""Check a run's files in S3 against its manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from pydantic import ValidationError

from gaitway.contracts.artifacts import RESULTS, Manifest
from gaitway.contracts.errors import ArtifactError
from gaitway.workloads import workload_of

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from gaitway.contracts.model import S3Uri
    from gaitway.contracts.run import RunSpec

_ABSENT = frozenset({"NoSuchKey", "NoSuchBucket", "AccessDenied"})


def check_outputs(s3: S3Client, spec: RunSpec, manifest_uri: S3Uri) -> None:
    """Compare the files of a run with its manifest.

    Args:
        s3: An S3 client.
        spec: The run.
        manifest_uri: Where the job says that its manifest is; the files lie beside it.

    Raises:
        ArtifactError: A file is missing, or differs from what the manifest says.
    """
    manifest = _read(s3, manifest_uri)
    if manifest.run_id != spec.run_id:
        raise ArtifactError(f"{manifest_uri} is the manifest of {manifest.run_id}, not of {spec.run_id}")
    listed = {entry.path: entry.size for entry in manifest.files}
    workload = workload_of(spec.training)
    for required in (*workload.required, RESULTS):
        if required not in listed:
            raise ArtifactError(f"{manifest_uri} does not list {required}, which every {workload.noun} leaves behind")
    prefix = manifest_uri.parent
    sizes = _sizes(s3, prefix)
    for path, size in listed.items():
        if path not in sizes:
            raise ArtifactError(f"{prefix / path} is missing, though the manifest lists it: try the run again")
        if sizes[path] != size:
            raise ArtifactError(
                f"{prefix / path} has {sizes[path]} bytes, the manifest says {size}: it was changed since its upload; "
                "try the run again"
            )


def _read(s3: S3Client, uri: S3Uri) -> Manifest:
    try:
        body = s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] in _ABSENT:
            raise ArtifactError(f"{uri} cannot be read, though the job reported it: {error}") from error
        raise
    try:
        return Manifest.read(body)
    except ValidationError as error:
        raise ArtifactError(f"{uri} is not a manifest: {error}") from error


def _sizes(s3: S3Client, prefix: S3Uri) -> dict[str, int]:
    """List the objects below a prefix, by their path from there: one call per thousand, not one per file."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key)
    return {
        entry["Key"].removeprefix(prefix.key): entry["Size"] for page in pages for entry in page.get("Contents", [])
    }
