"""The pages that are written from the code, and the schema that editors take."""

import json
from pathlib import Path
from typing import Any

import pytest

from gaitway.contracts.errors import RequestError
from gaitway.contracts.history import Machine
from gaitway.contracts.request import ComputeConfig, Request, parse_request
from gaitway.contracts.workload import EvaluationConfig, TrainingConfig
from handbook.fields import described_schema, field_texts
from handbook.reference import DOCS, MISTAKES, PAGES, ROOT


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_the_code_says(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run `python -m handbook.reference`"


@pytest.mark.parametrize("model", [Request, TrainingConfig, EvaluationConfig, ComputeConfig])
def test_every_field_of_a_request_says_what_it_means(model: type[Request]) -> None:
    assert set(field_texts(model)) == set(model.model_fields)


def test_a_text_below_a_field_is_found_where_the_field_has_several_lines() -> None:
    assert field_texts(Machine)["usd_per_hour"].startswith("Price of one node;")


@pytest.mark.parametrize("request_", MISTAKES)
def test_what_the_page_shows_as_a_mistake_is_refused(request_: str) -> None:
    with pytest.raises(RequestError):
        parse_request(request_)


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.json")), ids=lambda path: path.name)
def test_the_schema_knows_every_key_of_the_examples(example: Path) -> None:
    schema = described_schema(Request)

    def check(document: dict[str, Any], part: dict[str, Any]) -> None:
        for key, value in document.items():
            below = part["properties"][key]
            if "$ref" in below:
                check(value, schema["$defs"][below["$ref"].rpartition("/")[2]])

    check(json.loads(example.read_text(encoding="utf-8")), schema)
