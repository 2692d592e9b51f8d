"""Calls with the credentials of a role, and what it is to be denied."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from gaitway.local.launcher import LocalSession

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "403"})


class AssumedRole:
    """A session of a role.

    Args:
        endpoint_url: The emulator's.
        role_arn: The role; the account's root, who asks for the session, passes for the service that it trusts.
        source: Who asks for the session instead.
        limits: Further arguments of AssumeRole, such as a policy.
    """

    def __init__(self, endpoint_url: str, role_arn: str, source: "AssumedRole | None" = None, **limits: Any) -> None:
        self._session = LocalSession(endpoint_url)
        self._credentials: dict[str, str] = {}
        sts = source.client("sts") if source else self._session.client("sts")
        answer = sts.assume_role(RoleArn=role_arn, RoleSessionName="test", **limits)["Credentials"]
        self._credentials = {
            "aws_access_key_id": answer["AccessKeyId"],
            "aws_secret_access_key": answer["SecretAccessKey"],
            "aws_session_token": answer["SessionToken"],
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client that acts as the role."""
        return self._session.client(service, config=Config(retries={"total_max_attempts": 1}), **self._credentials)


@contextmanager
def denied() -> Iterator[None]:
    """Expect that policies refuse a call."""
    with pytest.raises(ClientError) as refused:
        yield
    assert refused.value.response["Error"]["Code"] in _DENIED, refused.value
