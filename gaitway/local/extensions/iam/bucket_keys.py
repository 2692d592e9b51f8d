"""Objects of a bucket that encrypts with a KMS key need permission for the key, too.

MiniStack's S3 checks permissions on objects only. We assume that the key's own policy leaves permissions to IAM.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.services import s3

from gaitway.local.runtime import REGION
from gaitway.local.services import Json

_Checks = list[tuple[str, str]]
_Additional = Callable[[str, str, dict[str, str], bytes, dict[str, Any]], _Checks]
_Enforce = Callable[..., Any]

_encrypted: contextvars.ContextVar[str] = contextvars.ContextVar("encrypted", default="")
"""The encryption context that S3 passes to KMS, in the request that is checked."""

_READ = ("GetObject", "GetObjectVersion")


def _with_keys(additional_checks: _Additional) -> _Additional:
    def checks(method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]) -> _Checks:
        found = additional_checks(method, path, headers, body, query)
        action = iam_actions._s3_action(method, path, query)
        key_arn = _default_key(path.strip("/").partition("/")[0])
        if key_arn is None:
            return found
        _encrypted.set(f"arn:aws:s3:::{path.strip('/')}")
        if action in _READ:
            found.append(("kms:Decrypt", key_arn))
        if action == "PutObject":
            found.append(("kms:GenerateDataKey", key_arn))
            # docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions
            if "uploads" in query or "uploadId" in query:
                found.append(("kms:Decrypt", key_arn))
        return found

    return checks


def _default_key(bucket: str) -> str | None:
    """Find the ARN of the key with which a bucket encrypts, unless that is S3's own key."""
    key = s3._bucket_default_sse_headers(bucket).get("x-amz-server-side-encryption-aws-kms-key-id")
    return str(key) if key else None


def _via_s3(enforce: _Enforce) -> _Enforce:
    """Build the condition keys of a use of a key through S3, and for which object.

    With a bucket key it would name the bucket; MiniStack has none.
    """

    def enforce_with_service(
        access_key: str,
        action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: Json | None = None,
    ) -> object:
        if service == "s3" and action.startswith("kms:"):
            service_context = {
                **(service_context or {}),
                "kms:ViaService": f"s3.{REGION}.amazonaws.com",
                "kms:EncryptionContext:aws:s3:arn": _encrypted.get(),
            }
        return enforce(access_key, action, service, region, resource_arn, service_context)

    return enforce_with_service


def register() -> None:
    """Install the checks."""
    iam_actions.s3_additional_checks = _with_keys(iam_actions.s3_additional_checks)
    iam_evaluator.enforce = _via_s3(iam_evaluator.enforce)
