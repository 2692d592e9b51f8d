"""Values as JSON writers spell them: what is unmistakable is taken, and everything else is refused.

Some writers have one kind of number (16.0, 1e3), some send every value as text ("4096"), and forms send every field,
also those that were left empty.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

SPELLING = "another spelling, which is also taken"
"""Comment of the parts of a JSON Schema that pages and editors need not show."""

_DECIMALS = 9
_UNLIMITED_DIGITS = 18
_TRUTHS = {"true": True, "True": True, "false": False, "False": False}


def is_given(value: object) -> bool:
    """Whether a field has a value: null and an empty text mean that it is not set."""
    return value is not None and value != ""


def without_empty(model: type[BaseModel], data: dict[str, Any]) -> dict[str, Any]:
    """Remove the known fields that are not set; an unknown key stays, so that it is refused."""
    known = set(model.model_fields) | {field.alias for field in model.model_fields.values()}
    return {key: value for key, value in data.items() if key not in known or is_given(value)}


class Whole:
    """Annotation of an integer, after its limits: also takes a whole float, and digits as text."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Convert it before its limits are checked."""
        return core_schema.no_info_before_validator_function(_whole, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe both forms. In JSON Schema, an integer may be written as 16.0."""
        number = handler(schema)
        digits = digits_between(number.get("minimum", 0), number.get("maximum", 10**_UNLIMITED_DIGITS))
        return _or_text(number, rf"(?:{digits})(?:\.0+)?")


class Decimal:
    """Annotation of a number above 0, after its limits: also takes it as text, without an exponent."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Convert it before its limits are checked."""
        return core_schema.no_info_before_validator_function(_decimal, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe both forms."""
        number = handler(schema)
        most = int(number["maximum"])
        below = rf"(?:{digits_between(0, most - 1)})(?:\.[0-9]{{1,{_DECIMALS}}})?"
        return _or_text(number, rf"(?=.*[1-9])(?:{below}|{most}(?:\.0{{1,{_DECIMALS}}})?)")


class Truth:
    """Annotation of a boolean: also takes it as text."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Convert it first."""
        return core_schema.no_info_before_validator_function(_truth, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe both forms."""
        return {"anyOf": [handler(schema), {"enum": list(_TRUTHS), "$comment": SPELLING}]}


def digits_between(low: int, high: int) -> str:
    """Write the regular expression of the integers from `low` (-1, 0 or 1) to `high`, without leading zeros.

    JSON Schema has no limits for digits in a text.
    """
    digits = str(high)
    choices = [str(number) for number in (-1, 0) if low <= number]
    if len(digits) > 1:
        choices.append(f"[1-9]{_digits(0, len(digits) - 2)}")
    for index, digit in enumerate(digits):
        least = 0 if index else 1
        if int(digit) > least:
            rest = len(digits) - index - 1
            choices.append(f"{digits[:index]}[{least}-{int(digit) - 1}]{_digits(rest, rest)}")
    return "|".join([*choices, digits])


def _digits(least: int, most: int) -> str:
    if least == most:
        return "[0-9]" * least if least < 2 else f"[0-9]{{{least}}}"
    return f"[0-9]{{{least},{most}}}"


def _or_text(number: dict[str, Any], expression: str) -> dict[str, Any]:
    text = {"type": "string", "pattern": f"^(?:{expression})$", "patternErrorMessage": "must be a number in range"}
    return {"anyOf": [number, text | {"$comment": SPELLING}]}


def _whole(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(rf"-?(?:0|[1-9][0-9]{{0,{_UNLIMITED_DIGITS}}})(?:\.0+)?", value):
        return int(value.partition(".")[0])
    return value


def _decimal(value: object) -> object:
    expression = rf"-?(?:0|[1-9][0-9]{{0,{_UNLIMITED_DIGITS}}})(?:\.[0-9]{{1,{_DECIMALS}}})?"
    if isinstance(value, str) and re.fullmatch(expression, value):
        return float(value)
    return value


def _truth(value: object) -> object:
    return _TRUTHS.get(value, value) if isinstance(value, str) else value
