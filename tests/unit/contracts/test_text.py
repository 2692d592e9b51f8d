"""A refusal of a text says in words what is allowed, and never shows a regular expression."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from gaitway.contracts.errors import RequestError
from gaitway.contracts.request import parse_request
from gaitway.contracts.text import Like
from gaitway.runner.host.batch import BatchHost
from gaitway.runner.host.environment import Environment
from gaitway.settings import Settings, SettingsError, load_settings

ROOT = Path(__file__).parents[3]
WRONG = "(wrong\n"
"""No form allows it."""


def _models(base: type[BaseModel] = BaseModel) -> Iterator[type[BaseModel]]:
    for folder in ("gaitway/contracts", "gaitway/runner", "lambdas"):
        for path in (ROOT / folder).rglob("*.py"):
            if re.search(r"\bpattern=|\bLike\(", path.read_text(encoding="utf-8")):
                importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    below = [base]
    for model in below:
        below.extend(model.__subclasses__())
        yield model


def _annotations(annotation: object) -> Iterator[object]:
    yield annotation
    for part in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        yield from _annotations(part)


def _patterns() -> set[Any]:
    return {
        found
        for model in _models()
        for field in model.model_fields.values()
        for part in (field.annotation, *field.metadata)
        for found in _annotations(part)
        if getattr(found, "pattern", None)
    }


def test_every_pattern_of_a_field_comes_with_words() -> None:
    found = _patterns()
    assert len(found) > 10
    assert {pattern for pattern in found if not isinstance(pattern, Like)} == set()


@pytest.mark.parametrize("like", sorted(_patterns(), key=str), ids=lambda like: like.words)
def test_a_refusal_has_the_words_and_not_the_pattern(like: Like) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(Annotated[str, like]).validate_python(WRONG)
    assert like.words in str(refused.value)
    assert like.pattern not in str(refused.value)


@pytest.mark.parametrize("field", ["task", "hydraOverrides"])
def test_a_request_is_refused_in_words(field: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse_request({"trainingConfig": {field: [WRONG] if field == "hydraOverrides" else WRONG}})
    assert _shows_no_pattern(str(refused.value))


@pytest.mark.parametrize("setting", [field.alias for field in Settings.model_fields.values() if field.alias])
def test_a_setting_is_refused_in_words(setting: str) -> None:
    message = _refusal_of(setting)
    assert message is None or _shows_no_pattern(message)


def _refusal_of(setting: str) -> str | None:
    try:
        load_settings({"acceptNvidiaEula": "true", setting: WRONG}, ROOT)
    except SettingsError as refused:
        return str(refused)
    return None


def test_the_environment_of_a_job_is_refused_in_words() -> None:
    names = ("ECS_CONTAINER_METADATA_URI_V4", "AWS_EC2_METADATA_SERVICE_ENDPOINT")
    for read, given in (
        (Environment.of, {"GAITWAY_SIMULATOR": WRONG}),
        (lambda variables: BatchHost.of(variables, pytest.fail), dict.fromkeys(names, WRONG)),
    ):
        with pytest.raises(ValidationError) as refused:
            read(given)
        assert all(name in str(refused.value) for name in given)
        assert _shows_no_pattern(str(refused.value))


def _shows_no_pattern(message: str) -> bool:
    return not re.search(r"pattern|\[\^|\\[swdx]|\]\{|\]\+|\]\*", message)
