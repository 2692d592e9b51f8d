"""What a request points at in S3: read it, and check that it exists, before any GPU is paid for."""

from __future__ import annotations

import io
import itertools
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from botocore.exceptions import ClientError

from gaitway.contracts.documents import parse_json_object, shorten
from gaitway.contracts.errors import InputNotFoundError, RequestError
from gaitway.contracts.inputs import InputFile
from gaitway.contracts.model import S3Uri
from gaitway.libraries.content import Content, recognise
from gaitway.packages.archive import TooLargeError
from gaitway.packages.excerpt import excerpt
from lambdas.construct_run.keys import other_spellings
from lambdas.construct_run.ranges import MAX_BYTES, open_ranges
from lambdas.s3_errors import reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import ObjectTypeDef

    from lambdas.observability import Json

MAX_CONFIG_BYTES = 131_072
"""The same limit as for a message. With an item's other content, the run's record stays below DynamoDB's 400 KB:
docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html."""


SMALL_PACKAGE_BYTES = MAX_BYTES
"""A package of up to this size is fetched with one request."""
EXCERPT_BYTES = 48 * 1024**2
"""Limit of what is unpacked of a package: far more than the code of a repository, and what a function unpacks and reads
in a few seconds. The /tmp of a function has 512 MB: docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html."""
MAX_LISTED = 20_000
"""Objects below a folder that is searched for a checkpoint: twenty calls of S3."""


@dataclass(frozen=True)
class Listed:
    """An object in a folder."""

    uri: S3Uri
    modified: datetime


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
        body = self._read(uri, "the input file")
        if len(body) > MAX_CONFIG_BYTES:
            raise InputNotFoundError(f"the input file is {uri}, which is too large, allowed: {MAX_CONFIG_BYTES} bytes")
        try:
            return parse_json_object("its content", body)
        except RequestError as error:
            raise InputNotFoundError(f"the input file is {uri}, but {error}") from error

    def read_text(self, uri: S3Uri) -> str:
        """Read the beginning of a file with settings.

        Raises:
            InputNotFoundError: It cannot be read.
        """
        return self._read(uri, "a file with settings").decode("utf-8", errors="replace")

    def resolve(self, field: str, path: str | S3Uri, places: Sequence[S3Uri]) -> InputFile:
        """Find the object that a field of the request names.

        Args:
            field: The request's field.
            path: S3 URI, or a path that is relative to one of the places.
            places: Folders, in the order in which they are searched.

        Raises:
            RequestError: The path is not an S3 URI, and there is nothing that it could be relative to.
            InputNotFoundError: There is no such object, or it cannot be read.
        """
        candidates = _candidates(field, path, places)
        found = []
        for uri in candidates:
            file = self._look_at(uri)
            if isinstance(file, InputFile):
                return file
            found.append(f"{uri}: {file}")
        meant = self._meant(candidates)
        raise InputNotFoundError(f"{field} is {str(path)!r}, which cannot be read ({'; '.join(found)}){meant}")

    def beginning(self, file: InputFile, num_bytes: int) -> bytes:
        """Read a file's first bytes: all of them if it has fewer.

        Raises:
            InputNotFoundError: It cannot be read.
        """
        try:
            return open_ranges(self._s3, file.uri, file.size or 0).read(num_bytes)
        except ClientError as error:
            raise InputNotFoundError(f"{file.uri} cannot be read: {reason(error)}") from error

    def excerpt(self, file: InputFile, target: Path) -> None:
        """Write an excerpt of a package: a small one is read at once, a large .zip only where it says what it holds.

        Raises:
            TooLargeError: It would have to be read further.
            CustomEnvironmentError: It is refused.
            InputNotFoundError: It cannot be read.
        """
        size = file.size or 0
        is_small = size <= SMALL_PACKAGE_BYTES
        try:
            source = cast("BinaryIO", open_ranges(self._s3, file.uri, size, exceeded=TooLargeError))
            if is_small:
                body = self._s3.get_object(Bucket=file.uri.bucket, Key=file.uri.key)["Body"]
                source = io.BytesIO(body.read(SMALL_PACKAGE_BYTES))
            excerpt(file.uri.name, source, target, EXCERPT_BYTES, is_near=is_small)
        except ClientError as error:
            raise InputNotFoundError(f"{file.uri} exists, but cannot be read: {reason(error)}") from error

    def list_folder(self, folder: S3Uri) -> list[S3Uri]:
        """List the objects in a folder, without those in its own folders.

        Raises:
            InputNotFoundError: It cannot be listed.
        """
        return [file.uri for file in self._list(folder, "/")]

    def list_below(self, folder: S3Uri) -> list[Listed]:
        """List the objects in a folder and in all folders below it.

        Raises:
            InputNotFoundError: It cannot be listed, or holds too many.
        """
        found = self._list(folder, "")
        if len(found) > MAX_LISTED:
            raise InputNotFoundError(
                f"{folder} holds more than {MAX_LISTED} files, too many to search for a policy: name it in "
                "trainingConfig.policyS3Uri"
            )
        return found

    def look_into(self, file: InputFile) -> Content:
        """Look at what a file holds, without reading all of it.

        Raises:
            InputNotFoundError: It can be seen, but not read.
        """
        size = file.size or 0
        try:
            return recognise(cast("BinaryIO", open_ranges(self._s3, file.uri, size)), size)
        except ClientError as error:
            raise InputNotFoundError(f"{file.uri} exists, but cannot be read: {reason(error)}") from error

    def find(self, uri: S3Uri) -> InputFile | None:
        """Look up a file that may be missing."""
        found = self._look_at(uri)
        return found if isinstance(found, InputFile) else None

    def _list(self, folder: S3Uri, delimiter: str) -> list[Listed]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=folder.bucket, Prefix=folder.key, Delimiter=delimiter
        )
        listed = (_listed(folder.bucket, entry) for page in pages for entry in page.get("Contents", []))
        try:
            return list(itertools.islice(listed, MAX_LISTED + 1))
        except ClientError as error:
            raise InputNotFoundError(f"{folder} cannot be searched for checkpoints: {reason(error)}") from error

    def _read(self, uri: S3Uri, what: str) -> bytes:
        try:
            return self._s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read(MAX_CONFIG_BYTES + 1)
        except ClientError as error:
            raise InputNotFoundError(f"{what} is {uri}, but {reason(error)}{self._meant([uri])}") from error

    def _meant(self, uris: Sequence[S3Uri]) -> str:
        """Name the object whose key was copied in another spelling; empty if there is none."""
        for uri in uris:
            for key, how in other_spellings(uri.key).items():
                # What S3 does not take as a key is an error that is not worth more than the refusal.
                with suppress(ClientError):
                    if isinstance(file := self._look_at(S3Uri(uri.bucket, key)), InputFile):
                        return f"; {str(file.uri)!r} exists, and the key as given {how}: give this address"
        return ""

    def _look_at(self, uri: S3Uri) -> InputFile | str:
        """Look up a file in S3; return the problem if it does not exist, is a folder, or cannot be read."""
        if not uri.name or uri.key.endswith("/"):
            return "it is a folder, and not a file"
        try:
            found = self._s3.head_object(Bucket=uri.bucket, Key=uri.key)
        except ClientError as error:
            return reason(error)
        return InputFile(uri=uri, size=found["ContentLength"], etag=found["ETag"])


def _listed(bucket: str, entry: ObjectTypeDef) -> Listed:
    return Listed(S3Uri(bucket, entry["Key"]), entry["LastModified"])


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
