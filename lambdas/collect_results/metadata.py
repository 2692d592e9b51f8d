"""Write down for VAMS what came of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from gaitway.aws.errors import AWS_ERRORS
from gaitway.contracts.artifacts import RESULTS, Results
from gaitway.contracts.vams import METADATA_SUFFIX, metadata_of
from lambdas.observability import logger

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from gaitway.contracts.run import RunSpec

_ERRORS: tuple[type[Exception], ...] = (*AWS_ERRORS, ValidationError)


def write_metadata(s3: S3Client, spec: RunSpec) -> None:
    """Write the metadata of a run that succeeded to where its caller looks for them; again, it writes the same.

    A run is never held up by what is noted of it: what goes wrong is logged.

    Args:
        s3: An S3 client.
        spec: The run; nothing is written where it has no place for metadata.
    """
    if spec.output_metadata is None:
        return
    results = spec.output_files / RESULTS
    try:
        body = s3.get_object(Bucket=results.bucket, Key=results.key)["Body"].read()
        file, document = metadata_of(Results.model_validate_json(body))
        target = spec.output_metadata / f"{file}{METADATA_SUFFIX}"
        s3.put_object(
            Bucket=target.bucket,
            Key=target.key,
            Body=document.model_dump_json(by_alias=True, indent=2).encode(),
            ContentType="application/json",
        )
    except _ERRORS:
        logger.exception("%s: no metadata written below %s", spec.run_id, spec.output_metadata)
