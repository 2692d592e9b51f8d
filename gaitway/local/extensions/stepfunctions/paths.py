"""Paths that match nothing.

AWS fails the execution with States.Runtime, which no Catch can catch, where MiniStack continues with null:
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html (States.Runtime). Without this,
a state machine could pass every local test and then end on AWS without its failure path.
"""

import json
from collections.abc import Callable
from typing import Any

from ministack.services import stepfunctions as states

from gaitway.local.extensions.stepfunctions.errors import runtime_error

_Context = dict[str, Any] | None
_StateDefinition = dict[str, Any]

_EXECUTION_INPUT = "$$.Execution.Input"


def _leads_somewhere(path: str, data: object, context: _Context) -> bool:
    if path.startswith("$$"):
        # Other fields that MiniStack's context object lacks are not an error of the state machine.
        if not path.startswith(_EXECUTION_INPUT) or context is None:
            return True
        data, path = context, path[1:]
    for kind, key in states._parse_jsonpath_tokens(path) or []:
        if kind == "wildcard":
            return True
        try:
            data = data[key]  # type: ignore[index]  # what it is, the path decides
        except (TypeError, LookupError):
            return False
    return True


def _require(path: object, data: object, context: _Context, field: str) -> None:
    if isinstance(path, str) and path.startswith("$") and not _leads_somewhere(path, data, context):
        raise runtime_error(
            f"The JSONPath '{path}' specified for the field '{field}' could not be found in the input "
            f"'{json.dumps(data)}'"
        )


def _strict_template(resolve: Callable[..., Any]) -> Callable[..., Any]:
    """Parameters, ResultSelector and ItemSelector."""

    def resolve_strictly(template: object, data: object, context: _Context = None) -> object:
        if isinstance(template, dict):
            for field, path in template.items():
                if field.endswith(".$"):
                    _require(path, data, context, field)
        return resolve(template, data, context)

    return resolve_strictly


def _strict_path(resolve: Callable[..., Any]) -> Callable[..., Any]:
    """InputPath, OutputPath, ItemsPath, and the variables of a Choice."""

    def resolve_strictly(path: str, data: object, context: _Context) -> object:
        _require(path, data, context, "path")
        return resolve(path, data, context)

    return resolve_strictly


def _strict_argument(evaluate: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments of intrinsic functions."""

    def evaluate_strictly(argument: tuple[Any, ...], data: object, context: _Context) -> object:
        if argument[0] == "path":
            _require(argument[1], data, context, "argument of an intrinsic function")
        return evaluate(argument, data, context)

    return evaluate_strictly


def _rule_with_is_present(evaluate: Callable[..., bool]) -> Callable[..., bool]:
    """IsPresent asks whether the path exists: a null is present.

    https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html
    """

    def evaluate_rule(rule: dict[str, Any], data: object, context: _Context = None) -> bool:
        if "IsPresent" in rule:
            is_present: bool = rule["IsPresent"]
            return _leads_somewhere(rule["Variable"], data, context) == is_present
        return evaluate(rule, data, context)

    return evaluate_rule


def _seconds_at(path: str, data: object, context: _Context, field: str) -> int:
    seconds = states._resolve_path_or_ctx(path, data, context)
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds <= 0:
        raise runtime_error(f"The value at {field} '{path}' must be a positive integer, not {json.dumps(seconds)}")
    return seconds


def _task_with_limits(execute: Callable[..., Any]) -> Callable[..., Any]:
    """TimeoutSecondsPath and HeartbeatSecondsPath.

    https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html
    """

    def execute_task(definition: _StateDefinition, state_input: object, execution: object, context: _Context) -> object:
        for field in ("TimeoutSeconds", "HeartbeatSeconds"):
            if path := definition.get(f"{field}Path"):
                data = states._apply_input_path(definition, state_input, context)
                definition = definition | {field: _seconds_at(path, data, context, f"{field}Path")}
        return execute(definition, state_input, execution, context)

    return execute_task


def register() -> None:
    """Make paths as strict as AWS's."""
    states._resolve_params_obj = _strict_template(states._resolve_params_obj)
    states._resolve_path_or_ctx = _strict_path(states._resolve_path_or_ctx)
    states._eval_intrinsic_arg = _strict_argument(states._eval_intrinsic_arg)
    states._evaluate_rule = _rule_with_is_present(states._evaluate_rule)
    states._execute_task = _task_with_limits(states._execute_task)
