"""The bases of every contract model, and the types that several of them share.

A caller learns of every mistake: `model_validate` refuses an unknown key. Versions of Gaitway tolerate each other
(docs/upgrading.md): `receive` reads what another version has sent, `read` what it has stored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import unquote

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from gaitway.contracts.text import Like

_BUCKET = r"(?![^/]*\.\.)[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]"
"""docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""
_S3_URI = re.compile(rf"s3://(?P<bucket>{_BUCKET})(?:/(?P<key>.*))?", re.DOTALL)
_HOST = r"https?://s3[.-](?:[a-z0-9-]+\.)*amazonaws\.com(?:\.cn)?"
_OTHER_ADDRESSES = (
    (re.compile(rf"(?i:s3)://(?P<bucket>{_BUCKET})/(?P<key>.*)"), False),
    (re.compile(rf"arn:aws[a-z-]*:s3:::(?P<bucket>{_BUCKET})/(?P<key>.*)"), False),
    (re.compile(rf"{_HOST.replace('s3[', f'(?P<bucket>{_BUCKET})[.]s3[')}/(?P<key>[^?#]*).*"), True),
    (re.compile(rf"{_HOST}/(?P<bucket>{_BUCKET})/(?P<key>[^?#]*).*"), True),
    (
        re.compile(
            rf"https://[a-z0-9.-]*console\.aws\.amazon\.com/s3/object/(?P<bucket>{_BUCKET})\?.*?prefix=(?P<key>[^&#]*).*"
        ),
        True,
    ),
)
"""How browsers and the console of S3 write the address of an object, and whether the key is URL-encoded there:
docs.aws.amazon.com/AmazonS3/latest/userguide/access-bucket-intro.html"""

MAX_KEY_BYTES = 1024
"""docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""


RECEIVED = object()
"""Context of a validation: fields that this version does not know are ignored, at every depth."""
_STORED = object()
"""The same; and an optional field that it cannot read counts as absent."""
SENT = object()
"""Context of a validation: a user or a caller has written it. Every key is as in JSON, and nothing may be lost."""


def is_from_another_version(context: object) -> bool:
    """Whether what is validated was accepted earlier, maybe by another version."""
    return context is RECEIVED or context is _STORED


class Model(BaseModel):
    """Immutable and strict, with keys in snake_case."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Received(Model):
    """A message, or a part of one, between two versions of Gaitway."""

    @classmethod
    def receive(cls, message: object) -> Self:
        """Read it, without the fields that this version does not know.

        Raises:
            ValidationError: A field that this version knows is missing or wrong.
        """
        return cls.model_validate(message, context=RECEIVED)

    # Not by `extra`, which a call can set only since pydantic 2.12: Isaac Sim brings an older one.
    @model_validator(mode="before")
    @classmethod
    def _without_unknown_fields(cls, data: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - whatever arrives
        if not is_from_another_version(info.context) or not isinstance(data, dict):
            return data
        known = set(cls.model_fields) | {field.alias for field in cls.model_fields.values()}
        return {key: value for key, value in data.items() if key in known}


class UserModel(Model):
    """A model whose JSON is written or read by users or callers, and is therefore in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_alias=True, validate_by_name=True)

    @classmethod
    def alias_of(cls, field: str) -> str:
        """Name a field as JSON does."""
        return cls.model_fields[field].alias or field


class Stored(Received):
    """A document, or a part of one, that an older or newer version than its writer may read."""

    # Our validators turn JSON into Python objects, in which dates are text: strict validation would refuse that.
    model_config = ConfigDict(strict=False)

    @classmethod
    def read(cls, document: str | bytes | Mapping[str, object]) -> Self:
        """Read it, without the fields that this version does not know.

        An optional field that cannot be read counts as absent, so that a reader that does not need it goes on. This
        does not apply to a field whose default is not None: replacing its value would change the document's meaning.

        Args:
            document: JSON text, or its object.

        Raises:
            ValidationError: A field that every reader needs is missing or wrong.
        """
        if isinstance(document, str | bytes):
            return cls.model_validate_json(document, context=_STORED)
        return cls.model_validate(document, context=_STORED)

    @field_validator("*", mode="wrap")
    @classmethod
    def _absent_if_unreadable(
        cls, value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> object:
        try:
            return handler(value)
        except ValidationError:
            if info.context is _STORED and cls.model_fields[info.field_name or ""].default is None:
                return None
            raise


class Document(Stored):
    """A stored document, with the version of its schema.

    New fields leave the version as it is: a reader ignores those that it does not know. The version grows when a reader
    that ignores new fields would act wrongly. Code that displays a document of a higher version shows the fields that
    it knows. Code that acts on it, as the runner on a run's record, refuses it (`is_newer`).
    """

    known_version: ClassVar[int] = 1
    """The highest version that this code understands. Documents have it only if their readers must know it."""

    schema_version: Annotated[int, Field(ge=1)] = 1
    """Version of this document's schema; 1 if it is absent."""

    @property
    def is_newer(self) -> bool:
        """Whether the document has a higher version than this code understands."""
        return self.schema_version > self.known_version


@dataclass(frozen=True)
class S3Uri:
    """Address of an object; or of a prefix, if the key ends with a slash or is empty."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `s3://bucket/key`.

        Raises:
            ValueError: The text is not an S3 URI.
        """
        match = _S3_URI.fullmatch(text)
        if match is None:
            raise ValueError(f"must look like s3://bucket/key{_meant(text)}")
        return cls(match["bucket"], _check_key(match["key"] or ""))

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rstrip("/").rpartition("/")[2]

    @property
    def parent(self) -> Self:
        """The prefix of the object, with its slash."""
        folder = self.key.rstrip("/").rpartition("/")[0]
        return type(self)(self.bucket, f"{folder}/" if folder else "")

    def __truediv__(self, relative: str) -> Self:
        """Append a relative key to a prefix."""
        prefix = self.key if not self.key or self.key.endswith("/") else f"{self.key}/"
        return type(self)(self.bucket, f"{prefix}{relative}")

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def _meant(text: str) -> str:
    """Say which S3 URI an address in another form means; empty if it has none of these forms."""
    for form, is_encoded in _OTHER_ADDRESSES:
        if match := form.fullmatch(text.strip()):
            return f": this is s3://{match['bucket']}/{unquote(match['key']) if is_encoded else match['key']}"
    return ""


def _check_key(key: str) -> str:
    # Half a surrogate pair, which JSON allows, has no encoding: that raises a ValueError, too.
    if len(key.encode()) > MAX_KEY_BYTES:
        raise ValueError(f"must have a key of at most {MAX_KEY_BYTES} bytes")
    return key


def _check_bucket(name: str) -> str:
    if re.fullmatch(_BUCKET, name) is None:
        raise ValueError("must be the name of a bucket")
    return name


GroupId = Annotated[
    str,
    Like(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}",
        "1 to 128 letters, digits, dots, hyphens and underscores, of which the first is a letter or a digit",
    ),
]
"""Name of a group of runs, by which they are listed."""

RunId = Annotated[str, Like(r"run-[0-9a-f]{20}", "the whole id of a run, as `gaitway show` prints it")]

S3Key = Annotated[str, AfterValidator(_check_key)]
"""Key of an object, or a prefix."""

BucketName = Annotated[str, AfterValidator(_check_bucket)]


def _validate_s3_uri(value: object) -> S3Uri:
    if isinstance(value, S3Uri):
        return value
    if not isinstance(value, str):
        # A ValueError, because pydantic turns only that into a validation error.
        raise ValueError("must be a string like s3://bucket/key")  # noqa: TRY004
    return S3Uri.parse(value)


S3UriField = Annotated[
    S3Uri,
    PlainValidator(_validate_s3_uri),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "format": "s3-uri", "pattern": rf"^s3://{_BUCKET}(?:/[\s\S]*)?$"}),
]
"""An S3Uri as a model's field: a string in JSON."""
