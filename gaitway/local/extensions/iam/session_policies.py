"""AssumeRole refuses a session policy that is too large in its packed form.

MiniStack knows only the limit of 2048 characters. AWS also compresses a policy into a form that it does not document,
which has its own limit, so that a shorter policy may also be refused:
docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from ministack.services import iam, sts

ALLOTTED_BYTES = 768
"""Our own limit, a small one: what fits here should fit on AWS, where policies of 2048 characters usually do."""

_Response = tuple[int, dict[str, str], bytes]
_Policies = Callable[..., tuple[dict[str, Any] | None, _Response | None]]


def packed_percentage(policy: str) -> int:
    """Return the share of the allowed size that a policy takes."""
    return -(-100 * len(zlib.compress(policy.encode(), 9)) // ALLOTTED_BYTES)


def _with_packed_size(session_policies: _Policies) -> _Policies:
    def read(
        params: object, account_id: str | None = None, check: bool = True
    ) -> tuple[dict[str, Any] | None, _Response | None]:
        policies, refusal = session_policies(params, account_id, check)
        percentage = packed_percentage(policies["Policy"]) if policies and policies["Policy"] else 0
        if percentage <= 100:
            return policies, refusal
        # AWS's message: repost.aws/knowledge-center/iam-role-aws-sts-error
        message = f"Packed policy consumes {percentage}% of allotted space, please use smaller policy."
        return None, iam._error(400, "PackedPolicyTooLarge", message, ns="sts")

    return read


def register() -> None:
    """Install the check."""
    sts._session_policies = _with_packed_size(sts._session_policies)
