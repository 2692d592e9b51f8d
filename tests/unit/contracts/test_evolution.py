"""What one version has sent or stored, another one reads: docs/upgrading.md."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError

from gaitway.aws.run_table import RunTable
from gaitway.contracts.errors import RequestError
from gaitway.contracts.history import RunHistory
from gaitway.contracts.model import Document, Received, Stored
from gaitway.contracts.pipeline import ConstructRunEvent
from gaitway.contracts.request import parse_request
from gaitway.contracts.run import RunRecord, RunTokens
from gaitway.contracts.vams_message import VamsMessage
from gaitway.runner.processes.messages import Beat, Hello, receive
from handbook.reference import FILES
from tests.unit.contracts.samples import REQUESTS, ROOT, models, optional_places, sample, without

MODELS = models()
STORED = [model for model in MODELS if issubclass(model, Stored)]
DOCUMENTS = [model for model in MODELS if issubclass(model, Document)]


def read(model: type[Received], document: dict[str, Any]) -> Received:
    """Read a document as its readers do."""
    return model.read(json.dumps(document)) if issubclass(model, Stored) else model.receive(document)


def named(models: Sequence[type[Received]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("model", models, ids=lambda model: model.__name__)


@named(MODELS)
def test_a_field_more_is_ignored_at_every_depth(model: type[Received]) -> None:
    with_more = sample(model, with_more=True)
    assert read(model, with_more) == read(model, sample(model))
    if model is not VamsMessage:  # VAMS may add fields, too
        with pytest.raises(ValidationError):
            model.model_validate_json(json.dumps(with_more))


@named(MODELS)
def test_each_optional_field_may_be_absent(model: type[Received]) -> None:
    for place in optional_places(model):
        read(model, without(sample(model), place))


@named(STORED)
def test_an_optional_field_that_cannot_be_read_counts_as_absent(model: type[Stored]) -> None:
    for name, field in model.model_fields.items():
        if field.default is None:
            document = sample(model) | {field.alias or name: [{"kind": "of tomorrow"}]}
            assert getattr(model.read(json.dumps(document)), name) is None
            with pytest.raises(ValidationError):
                model.model_validate(document)


@named(DOCUMENTS)
def test_a_document_says_its_schemas_version_and_is_read_without_and_with_a_higher_one(model: type[Document]) -> None:
    key = model.model_fields["schema_version"].alias or "schema_version"
    document = sample(model)
    del document[key]
    old = model.read(json.dumps(document))
    assert json.loads(old.model_dump_json(by_alias=True))[key] == 1
    assert not old.is_newer
    assert model.read(json.dumps(document | {key: 99})).is_newer


def test_every_file_that_users_read_is_a_document() -> None:
    assert [name for model, name, _ in FILES if name and not issubclass(model, Document)] == []


def test_nothing_that_is_sent_or_stored_is_read_strictly() -> None:
    """Only a request is, which is a part of some of it."""
    names = {model.__name__ for model in MODELS} - {*REQUESTS}
    strict = re.compile(rf"\b(?:{'|'.join(names)})\.model_validate")
    files = [path for folder in ("gaitway", "lambdas", "bench") for path in (ROOT / folder).rglob("*.py")]
    assert [path for path in files if strict.search(path.read_text(encoding="utf-8"))] == []


def test_what_a_reader_needs_is_not_made_up() -> None:
    record = sample(RunRecord)
    record["spec"]["training"]["mode"] = "imitate"
    assert RunRecord.read(record).spec is None
    record["state"] = "sleeping"
    with pytest.raises(ValidationError):
        RunRecord.read(record)
    history = sample(RunHistory)
    history["attempts"][0]["machine"]["purchase"] = "reserved"
    assert RunHistory.read(json.dumps(history)).attempts[0].machine is None


def test_a_request_in_an_event_keeps_its_values_and_a_wrong_one_is_refused() -> None:
    event = sample(ConstructRunEvent)
    event["message"]["request"] = {"trainingConfig": {"fieldOfTomorrow": 1}}
    received = ConstructRunEvent.receive(event)
    assert received.message.request == {"trainingConfig": {"fieldOfTomorrow": 1}}
    with pytest.raises(RequestError, match="fieldOfTomorrow is not a known key"):
        parse_request(received.message.request)
    event["message"]["request"] = 5
    with pytest.raises(ValidationError):
        ConstructRunEvent.receive(event)


class DynamoDb:
    """A table with what a newer version has written of one run."""

    def __init__(self, **items: dict[str, Any]) -> None:
        self._items = items

    def get_item(self, *, Key: dict[str, Any], **_: object) -> dict[str, Any]:  # noqa: N803
        """Read an item."""
        return {"Item": self._items[Key["item"]["S"]]}


def test_the_items_of_a_run_may_have_more() -> None:
    spec = sample(RunRecord, with_more=True)["spec"]
    dates = {name: {"S": "2026-11-26T12:00:00+00:00"} for name in ("created_at", "updated_at")}
    record = {
        "run_id": {"S": "run-1"},
        "item": {"S": "run"},
        "state": {"S": "running"},
        "schema_version": {"N": "99"},
        "spec": {"S": json.dumps(spec)},
        "progress": {"S": '{"done": 3}'},
        "later": {"L": []},
        **dates,
    }
    tokens = {"run_id": {"S": "run-1"}, "item": {"S": "tokens"}, "inner": {"S": "token"}, "later": {"N": "1"}}
    table = RunTable(cast("Any", DynamoDb(run=record, tokens=tokens)), "table")
    found, found_tokens = table.owned("run-1", None)
    assert found is not None
    assert (found.spec is not None, found.progress, found.is_newer) == (True, None, True)
    assert found_tokens == RunTokens(inner="token")


class Connection:
    """A node that has sent some lines."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def makefile(self, mode: str) -> Any:
        """Give what it has sent."""
        return self._path.open(mode)


def test_a_node_may_say_more_and_what_only_a_newer_one_says_is_left_out(tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    sent.write_text(
        '{"kind": "hello", "job_id": "a", "node_index": 1, "later": 1}\n{"kind": "later"}\n{"kind": "beat"}'
    )
    assert list(receive(cast("Any", Connection(sent)))) == [Hello(job_id="a", node_index=1), Beat()]
    sent.write_text("GET / HTTP/1.1\n")
    with pytest.raises(ValidationError):
        list(receive(cast("Any", Connection(sent))))
