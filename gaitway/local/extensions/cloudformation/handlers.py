"""The form of an entry in MiniStack's table of CloudFormation resource types."""

import uuid
from collections.abc import Callable
from typing import NotRequired, TypedDict

from gaitway.local.services import Json

Created = tuple[str, Json]
"""Physical id, which is also what Ref returns, and attributes for GetAtt."""


class Handler(TypedDict):
    """The handlers of one resource type.

    Without `update`, a changed resource is created again; CloudFormation's engine deletes the old one once the whole
    update has succeeded. The same happens when `update` returns another physical id.
    """

    create: Callable[[str, Json, str], Created]
    """(logical id, properties, stack name)"""
    update: NotRequired[Callable[[str, Json, Json, str], Created]]
    """(physical id, old properties, new properties, stack name)"""
    delete: Callable[[str, Json], None]
    """(physical id, properties)"""


def generated_name(stack_name: str, logical_id: str) -> str:
    """Return a name as CloudFormation generates it for a resource without a name in the template."""
    return f"{stack_name}-{logical_id}"[:100] + f"-{uuid.uuid4().hex[:12]}"
