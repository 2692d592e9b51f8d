"""Exports that other stacks import can neither be deleted nor changed; MiniStack only refuses to delete their stack.

docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html
"""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from ministack.services import cloudformation
from ministack.services.cloudformation import handlers, stacks

from gaitway.local.services import Json

_Resolved = tuple[list[Json], dict[str, Json]]


def _importers(name: str, stack_id: str) -> Iterator[str]:
    """List the stacks that import an export of another one, by name."""
    for stack_name, stack in sorted(cloudformation._stacks.items()):
        gone = stack.get("StackStatus") in {"DELETE_COMPLETE", "ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"}
        if not gone and stack["StackId"] != stack_id and name in handlers._imported_export_names(stack, stack_name):
            yield stack_name


def _check(exports: dict[str, Json], stack_id: str) -> None:
    """Compare what a stack will export with what it exports, and with the exports of others.

    Raises:
        ValueError: With CloudFormation's message, as quoted in github.com/aws/aws-cdk/issues/7602,
            github.com/linz/geostore/issues/630 and github.com/aws-amplify/amplify-cli/issues/1581.
    """
    before = cloudformation._exports
    for name, export in exports.items():
        if name in before and before[name]["StackId"] != stack_id:
            owner = before[name]["StackId"].split("/")[1]
            raise ValueError(f"Export with name {name} is already exported by stack {owner}")
        if name in before and before[name]["Value"] != export["Value"] and (users := _users(name, stack_id)):
            raise ValueError(f"Export {name} cannot be updated as it is in use by {users}")
    for name in [name for name, export in before.items() if export["StackId"] == stack_id and name not in exports]:
        if users := _users(name, stack_id):
            raise ValueError(f"Export {name} cannot be deleted as it is in use by {users}")
        del before[name]


def _users(name: str, stack_id: str) -> str:
    return " and ".join(_importers(name, stack_id))


def _checked(resolve: Callable[..., _Resolved]) -> Callable[..., _Resolved]:
    @wraps(resolve)
    def resolve_and_check(*arguments: Any) -> _Resolved:  # noqa: ANN401
        outputs, exports = resolve(*arguments)
        *_, stack_id = arguments
        _check(exports, stack_id)
        return outputs, exports

    return resolve_and_check


def register() -> None:
    """Check exports before an update ends; what is refused is rolled back."""
    stacks._resolve_stack_outputs = _checked(stacks._resolve_stack_outputs)
