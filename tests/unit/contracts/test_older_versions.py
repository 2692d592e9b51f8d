"""What an older commit's code has written, today's reads; and a tolerant older runner reads today's records."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from gaitway.aws import run_table
from gaitway.contracts.artifacts import Manifest, Results, RunConfig
from gaitway.contracts.history import RunHistory
from gaitway.contracts.model import Document
from gaitway.contracts.run import RunRecord
from gaitway.contracts.simulation import PolicyExport
from tests.older import OLDER, TOLERANT, checked_out
from tests.unit.contracts.samples import sample

DOCUMENTS: tuple[type[Document], ...] = (Results, Manifest, RunConfig, RunHistory, PolicyExport)

NEW = {
    *("resumeFrom", "resume_from", "furtherIterations", "further_iterations"),
    *("comparedSteps", "compared_steps"),
    *("installDependencies", "install_dependencies", "resumptions", "warnings", "notExported", "not_exported"),
    *("noLeapp", "no_leapp", "ranWith", "ran_with"),
    *("schemaVersion", "caller", "groupId", "parentRunId", "enableCameras", "withCameras", "seed"),
    *("group_id", "parent_run_id", "enable_cameras", "remark", "simulator", "backend", "gpu_slice", "gpuSlice"),
    *("instanceId", "instance_id", "liveView", "live_view", "liveViewPort", "live_view_port"),
    "share",
}
"""Fields that the commit before tolerance does not know, and refuses in what it reads strictly."""

READ_AND_WRITE = """
import importlib, json, sys
from gaitway.aws.run_table import _item, _record

asked = json.load(sys.stdin)
written = {}
for name, (module, document) in asked["documents"].items():
    model = getattr(importlib.import_module(module), name)
    read = getattr(model, "read", model.model_validate_json)
    written[name] = read(json.dumps(document)).model_dump_json(by_alias=True)
json.dump({"documents": written, "record": _item(_record(asked["record"]))}, sys.stdout)
"""


class Older:
    """The code of an older commit."""

    def __init__(self, commit: str, directory: Path) -> None:
        self._directory = checked_out(commit, directory, "gaitway")

    def read_and_write(self, documents: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
        """Let it read some documents, and the item of a run's record, and write them again."""
        ended = subprocess.run(
            [sys.executable, "-c", READ_AND_WRITE],
            cwd=self._directory,
            env=os.environ | {"PYTHONPATH": str(self._directory)},
            input=json.dumps({"documents": documents, "record": record}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        written: dict[str, Any] = json.loads(ended.stdout)
        return written


def known(document: Any) -> Any:
    """Leave out what the older version does not know."""
    if isinstance(document, dict):
        # `inputs` of an exported policy are a list, and were there before.
        is_new = {key for key, value in document.items() if key in NEW or (key == "inputs" and isinstance(value, dict))}
        return {key: known(value) for key, value in document.items() if key not in is_new}
    return [known(value) for value in document] if isinstance(document, list) else document


def test_todays_code_reads_what_an_older_one_wrote(tmp_path: Path) -> None:
    older = Older(OLDER, tmp_path)
    record = RunRecord.read(known(sample(RunRecord)) | {"interruption": None})
    item = json.loads(json.dumps(run_table._item(record)))
    for field in ("spec", "machine"):
        item[field]["S"] = json.dumps(known(json.loads(item[field]["S"])))
    documents = {model.__name__: (model.__module__, known(sample(model))) for model in DOCUMENTS}

    written = older.read_and_write(documents, item)

    for model in DOCUMENTS:
        assert model.read(written["documents"][model.__name__]) == model.read(json.dumps(known(sample(model))))
    assert "schema_version" in item
    assert "schema_version" not in written["record"]
    assert run_table._record(written["record"]) == record


def test_since_readers_are_tolerant_an_older_one_reads_what_a_newer_one_wrote(tmp_path: Path) -> None:
    record = RunRecord.read(sample(RunRecord))
    item = json.loads(json.dumps(run_table._item(record)))
    spec = sample(RunRecord, with_more=True)["spec"]
    item["spec"] = {"S": json.dumps(spec | {"inputs": {"policy": {"uri": "s3://assets/model_9.pt"}}})}
    documents = {model.__name__: (model.__module__, sample(model, with_more=True)) for model in DOCUMENTS}

    written = Older(TOLERANT, tmp_path).read_and_write(documents, item | {"later": {"S": "x"}})

    assert written["documents"].keys() == documents.keys()
    assert json.loads(written["record"]["spec"]["S"])["policy"] == "s3://assets/model_9.pt"
