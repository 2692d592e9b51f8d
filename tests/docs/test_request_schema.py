"""request.schema.json, as editors read it, allows what the validator takes, and nothing else."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gaitway.contracts.errors import RequestError
from gaitway.contracts.overrides import problem_of
from gaitway.contracts.request import parse_request
from handbook.reference import DOCS, ROOT

SCHEMA: dict[str, Any] = json.loads((DOCS / "request.schema.json").read_text(encoding="utf-8"))
IsValid = Callable[[object], bool]

# What a schema of single values cannot say: several fields contradict each other, or a length in bytes.
BEYOND_A_SCHEMA = (
    *("but mode is", "allowed: one of them", "different values", "trains in one process", "but an evaluation runs on"),
    "computeConfig.gpuSlice is",
    *(
        "names no run to continue",
        "allowed: the same run",
        "a video needs cameras",
        "twice with different values",
        ".tar.gz",
        "key of at most 1024 bytes",
    ),
)


@pytest.fixture(scope="module")
def is_valid() -> Iterator[IsValid]:
    """Ask Ajv, which validates JSON Schema for most editors."""
    program = [str(Path(__file__).with_name("valid.mjs")), str(ROOT), str(DOCS / "request.schema.json")]
    with subprocess.Popen(["node", *program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as ajv:
        assert ajv.stdin is not None
        assert ajv.stdout is not None
        questions, answers = ajv.stdin, ajv.stdout

        def ask(document: object) -> bool:
            questions.write(json.dumps(document) + "\n")
            questions.flush()
            return {"true\n": True, "false\n": False}[answers.readline()]

        assert ask({})
        yield ask
        questions.close()


def drawn(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Draw values that a schema allows."""
    if "$ref" in schema:
        return drawn(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return st.one_of([drawn(choice) for choice in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "object":
            return st.fixed_dictionaries({}, optional={key: drawn(part) for key, part in schema["properties"].items()})
        case "array":
            return st.lists(drawn(schema["items"]), min_size=schema.get("minItems", 0), max_size=3)
        case "string" if "pattern" in schema:
            longest = schema.get("maxLength", 1024)
            texts = st.from_regex(schema["pattern"].removesuffix("$") + r"\Z", alphabet=st.characters(codec="utf-8"))
            return texts.filter(lambda text: len(text) <= longest)
        case "string":
            most = min(schema.get("maxLength", 300), 300)
            return st.text(st.characters(codec="utf-8"), min_size=schema.get("minLength", 0), max_size=most)
        case "integer":
            numbers = st.integers(schema["minimum"], schema.get("maximum", 2**53))
            return numbers | numbers.map(float)
        case "number":
            return st.floats(schema["exclusiveMinimum"], schema["maximum"], exclude_min=True)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
    raise AssertionError(f"draw {schema}")


def refusal(document: object) -> str | None:
    try:
        parse_request(document)
    except RequestError as refused:
        return str(refused)
    return None


PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
"""Patterns that look ahead are drawn without that, and filtered; a busy machine draws slowly."""


def is_beyond(message: str) -> bool:
    return any(words in message for words in BEYOND_A_SCHEMA)


@PATIENT
@given(drawn(SCHEMA))
def test_what_the_schema_allows_is_taken(document: dict[str, Any]) -> None:
    message = refusal(document)
    assert message is None or all(is_beyond(part) for part in message.split("; ")), message


def fields() -> list[tuple[str | None, str]]:
    places: dict[str | None, dict[str, Any]] = {
        None: SCHEMA,
        **{name: SCHEMA["$defs"][definition] for name, definition in DEFINITIONS.items()},
    }
    return [(place, key) for place, part in places.items() for key in part["properties"] if key not in DEFINITIONS]


DEFINITIONS = {"trainingConfig": "TrainingConfig", "computeConfig": "ComputeConfig"}
SPOILT: st.SearchStrategy[Any] = st.sampled_from(
    [
        None, True, 0, -1, -2, 1, 64, 65, 2**31, 2**32 - 1, 2**32, 0.5, 16.0, 1e3, 1e300, -1.0, "", " ", "0", "1", "-1",
        "16", "016", "+1", " 16", "16.0", "16.5", "1e3", "64", "65", "1000000", "1000001", "4294967295", "4294967296",
        "0.1", "0.0", "-0.5", "1000000.1", "nan", "true", "True", "TRUE", "yes", "no", "train", "play", "Play", "test",
        "a b", "a\n", "s3://", "s3://b", "s3://bucket", "s3://bucket/key\n", "s3://bu..cket/k", "S3://bucket/k",
        "run-1", "-", [], {}, [None], [""], ["agent.seed=1"], ["agent.seed=1,2"], ["--headless"], ["a=1"], [1],
        ["env.a=[1,[2,{b:3}]]"], ["env.a=[[[[1]]]]"], ["env.a=[1"], ["env.a='x, y'"], ["~env.a", "+env.b="], ["env=1"],
        ["presets=newton,rgb"], ["physics=newton_mjwarp"], ["physics=a,b"], ["env.scene.num_envs=4"], ["env.a"],
    ]
)  # fmt: skip


@pytest.mark.parametrize(("place", "key"), fields())
def test_one_field_is_taken_where_the_schema_allows_it(is_valid: IsValid, place: str | None, key: str) -> None:
    @PATIENT
    @given(SPOILT | st.text(st.characters(codec="utf-8"), max_size=12) | st.integers() | st.floats(allow_nan=False))
    def agree(value: object) -> None:
        if isinstance(value, float) and value in (float("inf"), float("-inf")):
            return
        document = {key: value} if place is None else {place: {key: value}}
        message = refusal(document)
        if message is None or not is_beyond(message):
            assert is_valid(document) is (message is None), message

    agree()


@pytest.mark.parametrize("place", [None, *DEFINITIONS])
@pytest.mark.parametrize("key", ["num_envs", "numEnv", "custom_environment_path", "NumEnvs", " numEnvs"])
def test_no_other_key_is_taken(is_valid: IsValid, place: str | None, key: str) -> None:
    document = {key: 1} if place is None else {place: {key: 1}}
    assert refusal(document) is not None
    assert not is_valid(document)


@PATIENT
@given(drawn(SCHEMA["$defs"]["TrainingConfig"]["properties"]["hydraOverrides"]["anyOf"][0]["items"]))
def test_an_override_that_the_schema_allows_has_no_problem(override: str) -> None:
    assert problem_of(override) is None
