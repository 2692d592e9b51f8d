"""AWS, cut off at the wire: boto3 checks and serialises each call, and the services' limits are looked after here.

A call takes a fraction of a millisecond, so that thousands of requests can be tried. What the services do with them is
tried on the embedded AWS, with fewer: `test_deployed.py`.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from botocore.response import StreamingBody

from gaitway.contracts.packages import has_package_suffix
from gaitway.local.launcher import LocalSession
from tests.checkpoints import checkpoint

Json = dict[str, Any]

CHECKPOINT = checkpoint()
MAX_INPUT_BYTES = 262_144
"""docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""
MAX_ITEM_BYTES = 409_600
"""docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""


class Wire:
    """Answers every call, and keeps what it was asked for.

    Args:
        files: Objects in S3, by `bucket/key`.
        everything_exists: Whether S3 has every other object that it is asked for, too.
        content: What every other object holds that is not a package by its name.
    """

    def __init__(
        self, files: dict[str, bytes] | None = None, *, everything_exists: bool = False, content: bytes = CHECKPOINT
    ) -> None:
        self.calls: list[tuple[str, Json]] = []
        self._files = files or {}
        self._everything_exists = everything_exists
        self._content = content

    def made(self, operation: str) -> list[Json]:
        """List the parameters of the calls of an operation."""
        return [parameters for name, parameters in self.calls if name == operation]

    def answer(self, operation: str, parameters: Json) -> Json:
        """Answer a call as the service does.

        Raises:
            AssertionError: The service would refuse it.
        """
        self.calls.append((operation, parameters))
        answers: dict[str, Callable[[Json], Json]] = {
            "GetItem": lambda _: {},
            "UpdateItem": _written,
            "TransactWriteItems": _written,
            "StartExecution": _started,
            "SendTaskFailure": _told,
            "HeadObject": self._head,
            "GetObject": self._get,
            "ListObjectsV2": lambda _: {"Contents": [], "KeyCount": 0, "IsTruncated": False},
        }
        return answers[operation](parameters)

    def _head(self, parameters: Json) -> Json:
        body = self._body(parameters)
        if body is not None:
            return {"ContentLength": len(body), "ETag": '"1"'}
        return {"Error": {"Code": "404", "Message": "Not Found"}}

    def _get(self, parameters: Json) -> Json:
        body = self._body(parameters)
        if body is None:
            return {"Error": {"Code": "NoSuchKey", "Message": "The specified key does not exist."}}
        if "Range" in parameters:
            first, last = map(int, parameters["Range"].removeprefix("bytes=").split("-"))
            assert 0 <= first <= last < len(body), "S3 answers 416 to a range that begins behind the end"
            body = body[first : last + 1]
        return {"Body": StreamingBody(io.BytesIO(body), len(body))}

    def _body(self, parameters: Json) -> bytes | None:
        address = _address(parameters)
        if address in self._files or not self._everything_exists:
            return self._files.get(address)
        return _package(address) if has_package_suffix(address) else self._content


class Clients:
    """boto3 clients whose calls go to a wire that can be exchanged, since making clients takes long."""

    def __init__(self) -> None:
        self.wire = Wire()
        session = LocalSession("http://nowhere.invalid")
        self.dynamodb = self._client(session, "dynamodb")
        self.stepfunctions = self._client(session, "stepfunctions")
        self.s3 = self._client(session, "s3")

    def _client(self, session: LocalSession, service: str) -> Any:
        client = session.client(service)
        # Comes after boto3 has checked the parameters; an answer keeps the call from the network.
        client.meta.events.register("before-parameter-build", self._keep)
        client.meta.events.register("before-call", self._answer)
        return client

    def _keep(self, params: Json, context: Json, **_: object) -> None:
        context["gaitway_parameters"] = dict(params)

    def _answer(self, model: Any, params: Json, context: Json, **_: object) -> tuple[object, Json]:
        answer = self.wire.answer(model.name, context["gaitway_parameters"])
        return SimpleNamespace(status_code=400 if "Error" in answer else 200), answer


def _package(address: str) -> bytes:
    """Pack a module of its own for each address, in an archive that is the same every time."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"robots_{zlib.crc32(address.encode())}/__init__.py"), b"")
    return stream.getvalue()


def _address(parameters: Json) -> str:
    bucket, key = parameters["Bucket"], parameters["Key"]
    # Otherwise S3 answers 400: docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, object-keys.html
    assert 3 <= len(bucket) <= 63
    assert ".." not in bucket
    assert 1 <= len(key.encode()) <= 1024
    return f"{bucket}/{key}"


def _written(parameters: Json) -> Json:
    assert len(json.dumps(parameters, ensure_ascii=False).encode()) <= MAX_ITEM_BYTES
    return {}


def _started(parameters: Json) -> Json:
    assert len(parameters["input"].encode()) <= MAX_INPUT_BYTES
    assert_json(parameters["input"])
    return {"executionArn": f"arn:aws:states:us-east-1:1:execution:pipeline:{parameters['name']}", "startDate": 0}


def _told(parameters: Json) -> Json:
    assert len(parameters["error"]) <= 256
    assert len(parameters["cause"]) <= 32_768
    parameters["cause"].encode()
    return {}


def assert_json(text: str) -> None:
    """Check that a document is JSON as everybody reads it, and not only Python: no NaN, no half of a character."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    json.dumps(json.loads(text, parse_constant=refuse), ensure_ascii=False).encode()
