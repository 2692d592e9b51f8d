"""What a request points at in S3: read it, and check that it exists, before any GPU is paid for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from gaitway.contracts.documents import parse_json_object, shorten
from gaitway.contracts.errors import InputNotFoundError, RequestError
from gaitway.contracts.model import S3Uri
from lambdas.s3_errors import reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from types_boto3_s3 import S3Client

    from lambdas.observability import Json

MAX_CONFIG_BYTES = 131_072
"""As much as a message may have. With what an item may hold besides, the run's record stays below DynamoDB's 400 KB:
docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html."""


class Inputs:
    """The objects that requests point at.

    Args:
        s3: An S3 client.
    """

    def __init__(self, s3: S3Client) -> None:
        self._s3 = s3

    def read_json(self, uri: S3Uri) -> Json:
        """Read a request's JSON file.

        Raises:
            InputNotFoundError: It cannot be read, or is not the text of a JSON object.
        """
        try:
            body = self._s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read(MAX_CONFIG_BYTES + 1)
        except ClientError as error:
            raise InputNotFoundError(f"inputS3AssetFilePath is {uri}, but {reason(error)}") from error
        if len(body) > MAX_CONFIG_BYTES:
            raise InputNotFoundError(
                f"inputS3AssetFilePath is {uri}, which is too large, allowed: {MAX_CONFIG_BYTES} bytes"
            )
        try:
            # Some editors on Windows begin a file with a byte order mark.
            return parse_json_object("its content", body.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise InputNotFoundError(f"inputS3AssetFilePath is {uri}, but its content is not UTF-8: {error}") from error
        except RequestError as error:
            raise InputNotFoundError(f"inputS3AssetFilePath is {uri}, but {error}") from error

    def resolve(self, field: str, path: str | S3Uri, places: Sequence[S3Uri]) -> S3Uri:
        """Find the object that a field of the request names.

        Args:
            field: Name of the field.
            path: S3 URI, or a path that is relative to one of the places.
            places: Folders, in the order in which they are looked at.

        Raises:
            RequestError: The path is no S3 URI, and there is nothing that it could be relative to.
            InputNotFoundError: There is no such object, or it cannot be read.
        """
        candidates = _candidates(field, path, places)
        found = []
        for uri in candidates:
            problem = self._problem(uri)
            if problem is None:
                return uri
            found.append(f"{uri}: {problem}")
        raise InputNotFoundError(f"{field} is {str(path)!r}, which cannot be read ({'; '.join(found)})")

    def list_folder(self, folder: S3Uri) -> list[S3Uri]:
        """List the objects in a folder, without those in its own folders.

        Raises:
            InputNotFoundError: It cannot be listed.
        """
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=folder.bucket, Prefix=folder.key, Delimiter="/"
        )
        try:
            return [S3Uri(folder.bucket, entry["Key"]) for page in pages for entry in page.get("Contents", [])]
        except ClientError as error:
            raise InputNotFoundError(f"{folder} cannot be searched for a policy: {reason(error)}") from error

    def _problem(self, uri: S3Uri) -> str | None:
        if not uri.name or uri.key.endswith("/"):
            return "it is a folder, and not a file"
        try:
            self._s3.head_object(Bucket=uri.bucket, Key=uri.key)
        except ClientError as error:
            return reason(error)
        return None


def _candidates(field: str, path: str | S3Uri, places: Sequence[S3Uri]) -> list[S3Uri]:
    if isinstance(path, S3Uri):
        return [path]
    if path.startswith("s3://"):
        try:
            return [S3Uri.parse(path)]
        except ValueError as error:
            raise RequestError(f"{field} is {path!r}, allowed: {error}") from None
    if not places:
        raise RequestError(f"{field} is {path!r}, but there is no asset that it could be relative to: give an S3 URI")
    try:
        return [S3Uri.parse(str(place / path.removeprefix("./").lstrip("/"))) for place in places]
    except ValueError as error:
        raise RequestError(f"{field} is {shorten(path)}, allowed below {places[0]}: {error}") from None
