"""Hydra overrides: which ones a run may have, and what is wrong with any other, in words.

The grammar is a part of that of hydra-core 1.3.2 (hydra/grammar/OverrideLexer.g4, OverrideParser.g4): one value for one
setting. What Hydra would read as several values is refused, since a run has one.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from gaitway.contracts.model import is_from_another_version
from gaitway.libraries import LIBRARIES

SET_BY_REQUEST = {
    "env.scene.num_envs": "numEnvs",
    **{record.settings.iterations: "maxIterations" for record in LIBRARIES.values()},
}
"""Isaac Lab's scripts take these from the command line, which overrides Hydra: an override would change nothing."""
SEEDS = ("agent.seed", "agent.params.seed")
"""What the libraries call the seed; the second is rl_games' name."""
ALSO_IN_REQUEST = {
    **dict.fromkeys(SEEDS, "seed"),
    **{
        record.settings.checkpoint_interval: "checkpointInterval"
        for record in LIBRARIES.values()
        if record.settings.checkpoint_interval is not None
    },
}
"""A request may give these as an override, or else in a field, which would replace the override."""
TREES = ("env", "agent")
"""The two trees of settings."""
CHOICES = ("presets", "physics")
"""Isaac Lab 3 has these as well, without a tree."""

_SWEEPS = ("choice", "range", "interval", "glob", "shuffle", "sort", "tag")
"""Hydra's functions for several values: hydra.cc/docs/advanced/override_grammar/extended/"""
_DEPTH = 3
"""Depth of brackets in a value. JSON Schema describes text by regular expressions, which cannot count."""

_PART = r"(?:[A-Za-z_$][A-Za-z0-9_$\-]*|0|[1-9][0-9]*)"
_NAMES = r"[A-Za-z0-9_.\-]+"
_PLAIN = r"[A-Za-z0-9_/.%*@?|+:\-]|\$(?!\{)|\$\{[^{}]+\}"
_QUOTED = "|".join(rf"{quote}(?:[^{quote}\\]|\\[^\n])*{quote}" for quote in "'\"")


def _element(depth: int) -> str:
    """Write the expression of a value in brackets."""
    deeper = f"|{_brackets(depth - 1)}" if depth else ""
    return rf" *(?:(?:{_QUOTED}{deeper}) *|(?:{_PLAIN})(?:{_PLAIN}| )*)"


def _brackets(depth: int) -> str:
    element = _element(depth)
    pair = rf" *{_DICT_KEY}(?:{_DICT_KEY}| )*:{element}"
    return rf"\[(?:{element}(?:,{element})*| *)\]|\{{(?:{pair}(?:,{pair})*| *)\}}"


_DICT_KEY = r"(?:[A-Za-z0-9_/.%*@?|+\-]|\$(?!\{))"
_NUMBER = r"[+\-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+\-]?[0-9]+)?"
_CASTABLE = rf" *(?:{_NUMBER}|'{_NUMBER}'|" + rf'"{_NUMBER}"|true|false) *'
_CAST = rf"(?:int|float|bool) *\({_CASTABLE}\)|str *\({_element(0)}\)"
_VALUE = rf" *(?:(?:{_QUOTED}|{_brackets(_DEPTH - 1)}|{_CAST}) *|(?:{_PLAIN})(?:{_PLAIN}| )*)?"
_KEY = rf"(?!(?:{'|'.join(map(re.escape, SET_BY_REQUEST))})(?:=|$))(?:{'|'.join(TREES)})(?:\.{_PART})+"
_OVERRIDE = re.compile(
    r"(?=[^\x00-\x1f]*$)"
    rf"(?:(?=~|[^=]+=)(?:~|\+{{0,2}}){_KEY}(?:={_VALUE})?|presets={_NAMES}(?:,{_NAMES})*|physics={_NAMES})"
)
_SPLIT = re.compile(r"(?P<sign>~|\+{0,2})(?P<key>[^=]*)(?P<equals>=?)(?P<value>.*)", re.DOTALL)

WORDS = "an override of one setting, as agent.seed=1, +env.key=1 or ~env.key"


class OneSetting:
    """Annotation of an override: its form, and that it means one value of one setting."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the text after its length."""
        return core_schema.with_info_after_validator_function(_check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe the form."""
        described = {"pattern": f"^{_OVERRIDE.pattern}$", "patternErrorMessage": f"must be {WORDS}"}
        return handler(schema) | described


def key_of(override: str) -> str:
    """Return the setting that an override is about."""
    return override.lstrip("~+").partition("=")[0]


def tree_of(override: str) -> str:
    """Return the first part of its key."""
    return key_of(override).partition(".")[0]


def problem_of(override: str) -> str | None:
    """Say what is wrong with an override, to follow its text; None if nothing is."""
    if _OVERRIDE.fullmatch(override):
        return _problem_inside(key_of(override), override.partition("=")[2])
    if not override:
        return "which is empty: give key=value, or leave it out"
    if override.startswith("-"):
        return "which is an option of a command line: give the setting that it changes, as env.key=value"
    if not override.isprintable():
        return "which has a line break or another character that cannot be printed: leave it out"
    match = _SPLIT.fullmatch(override)
    assert match is not None
    key, value = match["key"], match["value"]
    return _problem_of_key(key) or _problem_of_sign(match["sign"], match["equals"]) or _problem_of_value(key, value)


def _problem_of_key(key: str) -> str | None:
    tree, _, rest = key.partition(".")
    if tree not in (*TREES, *CHOICES):
        about = f"about {key if key.isprintable() and key == key.strip() else repr(key)}" if key else "about no setting"
        return f"which is {about}, allowed: env.<key> and agent.<key>, and with Isaac Lab 3 presets and physics"
    if key in SET_BY_REQUEST:
        return f"which has no effect, since trainingConfig.{SET_BY_REQUEST[key]} sets it: give that instead"
    if tree in TREES and not rest:
        return f"which would replace all of {tree}: name one setting, as {tree}.<key>=<value>"
    if tree in TREES and not re.fullmatch(rf"{_PART}(?:\.{_PART})*", rest):
        return f"which has the key {key!r}, allowed: names of letters, digits, _ and -, joined by single dots"
    return None


def _problem_inside(key: str, value: str) -> str | None:
    """Say which setting in a dictionary another field sets."""
    for other, field in SET_BY_REQUEST.items():
        *_, name = parts = other.removeprefix(f"{key}.").split(".")
        if other.startswith(f"{key}.") and re.search(rf"[{{,] *{' *: *[{] *'.join(parts)} *:", value):
            return f"whose {name} has no effect, since trainingConfig.{field} sets it: give that instead"
    return None


def _problem_of_sign(sign: str, equals: str) -> str | None:
    if not equals and sign != "~":
        return "which has no value: give it as <key>=<value>, or as ~<key> to delete the setting"
    return None


def _problem_of_value(key: str, value: str) -> str:
    if key in CHOICES:
        return f"which has the value {value!r}, allowed: a name of letters, digits and _ . -"
    if re.match(rf" *(?:{'|'.join(_SWEEPS)}) *\(", value):
        return _sweep()
    closing: list[str] = []
    deepest, quote, escaped = 0, "", False
    for position, character in enumerate(value):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "[{(":
            closing.append({"[": "]", "{": "}", "(": ")"}[character])
            deepest = max(deepest, len(closing))
        elif character in ")}]":
            if not closing or closing.pop() != character:
                return f"which closes a bracket with {character} that nothing opens: check its brackets"
        elif character == "," and not closing:
            return _sweep() if value[position + 1 :].strip() else "which ends with a comma: leave it out"
    if quote or closing:
        return f"which has no closing {quote or closing[-1]}: check its brackets and quotes"
    if deepest > _DEPTH:
        return f"which has brackets in {deepest} levels, allowed: {_DEPTH}"
    return (
        "which Hydra cannot read: a value with other characters than letters, digits and _ / . % * @ ? | + : - needs "
        "quotes around it, as agent.<key>='<value>'; a list is [1,2], and a dictionary {a:1}, whose keys have no quotes"
    )


def _sweep() -> str:
    return (
        "which is a sweep over several values, allowed: one value. For a list write [1,2]; to try several values, send "
        "a request for each, with the same groupId"
    )


def _check(override: str, info: ValidationInfo) -> str:
    problem = None if is_from_another_version(info.context) else problem_of(override)
    if problem is not None:
        raise ValueError(problem)
    return override
