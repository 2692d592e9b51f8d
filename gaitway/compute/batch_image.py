"""The container images that jobs run in, as job definitions name them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from types_boto3_batch import BatchClient
    from types_boto3_batch.type_defs import JobDefinitionTypeDef
    from types_boto3_ecr import ECRClient

ECR_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.[^/]+/(?P<repository>[^:@]+)(?:@(?P<digest>sha256:\w+)|:(?P<tag>.+))?"
)
"""An image in a registry of ECR."""


def active_definitions(batch: BatchClient, names: list[str]) -> list[JobDefinitionTypeDef]:
    """Describe those job definitions that jobs can be submitted with.

    Args:
        batch: A client.
        names: Their ARNs; with none AWS Batch would describe all definitions.
    """
    if not names:
        return []
    definitions = batch.describe_job_definitions(jobDefinitions=names)["jobDefinitions"]
    return [definition for definition in definitions if definition.get("status") == "ACTIVE"]


def image_of(definition: JobDefinitionTypeDef) -> str:
    """Name the image of a job definition."""
    if nodes := definition.get("nodeProperties"):
        return nodes["nodeRangeProperties"][0]["container"]["image"]
    return definition["containerProperties"]["image"]


def is_in_registry(ecr: ECRClient, image: re.Match[str]) -> bool:
    """Return whether an image that a job definition names exists.

    Args:
        ecr: A client.
        image: A match of `ECR_IMAGE`.
    """
    wanted = {"imageDigest": image["digest"]} if image["digest"] else {"imageTag": image["tag"] or "latest"}
    try:
        ecr.describe_images(
            registryId=image["account"],
            repositoryName=image["repository"],
            imageIds=[wanted],  # type: ignore[list-item]  # mypy sees a dict of strings, not the typed one
        )
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("ImageNotFoundException", "RepositoryNotFoundException"):
            raise
        return False
    return True
