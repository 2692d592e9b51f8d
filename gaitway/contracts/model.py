"""The base of every contract model, and the types that several of them share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic.alias_generators import to_camel

_BUCKET = r"(?![^/]*\.\.)[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]"
"""docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""
_S3_URI = re.compile(rf"s3://(?P<bucket>{_BUCKET})(?:/(?P<key>.*))?", re.DOTALL)

MAX_KEY_BYTES = 1024
"""docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""


class Model(BaseModel):
    """Immutable and strict; written in snake_case."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class UserModel(Model):
    """A model whose JSON is written or read by users or VAMS, and is therefore in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_alias=True, validate_by_name=True)


@dataclass(frozen=True)
class S3Uri:
    """Address of an object, or of a prefix where the key ends with a slash (or is empty)."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `s3://bucket/key`.

        Raises:
            ValueError: The text is no S3 URI.
        """
        match = _S3_URI.fullmatch(text)
        if match is None:
            raise ValueError("must look like s3://bucket/key")
        return cls(match["bucket"], _check_key(match["key"] or ""))

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rstrip("/").rpartition("/")[2]

    @property
    def parent(self) -> Self:
        """The prefix that the object stands under, with its slash."""
        folder = self.key.rstrip("/").rpartition("/")[0]
        return type(self)(self.bucket, f"{folder}/" if folder else "")

    def __truediv__(self, relative: str) -> Self:
        """Append a relative key to a prefix."""
        prefix = self.key if not self.key or self.key.endswith("/") else f"{self.key}/"
        return type(self)(self.bucket, f"{prefix}{relative}")

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def _check_key(key: str) -> str:
    # Half a surrogate pair, which JSON allows, has no encoding: that raises a ValueError, too.
    if len(key.encode()) > MAX_KEY_BYTES:
        raise ValueError(f"must have a key of at most {MAX_KEY_BYTES} bytes")
    return key


def _check_bucket(name: str) -> str:
    if re.fullmatch(_BUCKET, name) is None:
        raise ValueError("must be the name of a bucket")
    return name


S3Key = Annotated[str, AfterValidator(_check_key)]
"""Key of an object, or a prefix."""

BucketName = Annotated[str, AfterValidator(_check_bucket)]


def _validate_s3_uri(value: object) -> S3Uri:
    if isinstance(value, S3Uri):
        return value
    if not isinstance(value, str):
        # A ValueError, since pydantic turns only that into a finding of its own.
        raise ValueError("must be a string like s3://bucket/key")  # noqa: TRY004
    return S3Uri.parse(value)


S3UriField = Annotated[
    S3Uri,
    PlainValidator(_validate_s3_uri),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "format": "s3-uri", "pattern": "^s3://[^/]{3,63}(/|$)"}),
]
"""An S3Uri as a model's field: a string in JSON."""
