"""The pages of docs/ that are generated from the code: `python -m handbook.reference` writes them.

A test fails if a page differs from what the code would generate.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from gaitway.contracts.artifacts import (
    EVALUATION_CONFIG,
    EXPORTED,
    HISTORY,
    MANIFEST,
    RESULTS,
    TRAINING_CONFIG,
    Manifest,
    ManifestEntry,
    Results,
    RunConfig,
    TrainingSummary,
)
from gaitway.contracts.errors import Failure, RequestError
from gaitway.contracts.history import AttemptHistory, Cost, Machine, RunHistory
from gaitway.contracts.request import ComputeConfig, Request, parse_request
from gaitway.contracts.simulation import EXPORTED_SUMMARY, EvaluationSummary, PolicyExport, TensorDescription
from gaitway.contracts.vams_message import VamsMessage
from gaitway.settings import Settings, SettingsError, load_settings
from handbook.fields import WORKLOADS, described_schema, table, with_empty
from handbook.operations import operations_page
from handbook.page import page
from handbook.prometheus import dashboard_file, prometheus_page, rules_file

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

MISTAKES = (
    '{"trainingConfig": {"numEnv": 4096}}',
    '{"trainingConfig": {"maxIterations": "many"}}',
    '{"trainingConfig": {"rlLibrary": "rllib"}}',
    '{"trainingConfig": {"mode": "train", "policyPath": "model_79.pt"}}',
    '{"trainingConfig": {"mode": "evaluate", "resumeCheckpoint": "model_79.pt"}}',
    '{"trainingConfig": {"mode": "evaluate", "policyPath": "a.pt", "checkpointPath": "b.pt"}}',
    '{"trainingConfig": {"mode": "evaluate"}, "computeConfig": {"gpusPerNode": 2}}',
    '{"customEnvironmentPath": "tasks.rar"}',
    '{"trainingConfig": {"hydraOverrides": ["--headless"]}}',
    '{"trainingConfig": {"hydraOverrides": ["agent.seed=1,2,3"]}}',
    '{"trainingConfig": {"hydraOverrides": ["hydra.run.dir=/tmp"]}}',
    '{"trainingConfig": {"custom_environment_path": "tasks.zip"}}',
    '{"trainingConfig": {"numEnvs": 64, "numEnvs": 4096}}',
    '{"computeConfig": {"maxCostUsd": 0}}',
)
"""Requests that are refused."""

WRONG_SETTINGS: tuple[dict[str, object], ...] = (
    {},
    {"acceptNvidaEula": "true"},
    {"acceptNvidiaEula": "true", "maxVcpus": "4"},
    {"acceptNvidiaEula": "true", "instanceTypes": "p5.48xlarge"},
    {"acceptNvidiaEula": "true", "vpcId": "my-vpc"},
)
"""Settings that are refused, as given with `-c`."""


FILES: tuple[tuple[type[BaseModel], str, str], ...] = (
    (Results, RESULTS, "The outcome of every run, also a failed one, for programs."),
    (TrainingSummary, "", "In `training` of results.json."),
    (EvaluationSummary, "", "In `evaluation` of results.json."),
    (Failure, "", "In `failure` of results.json, and in a run's record."),
    (Cost, "", "In `cost`: [costs](costs.md)."),
    (RunHistory, HISTORY, "In `history` of results.json; a separate file on EFS while the run is active."),
    (AttemptHistory, "", "In `attempts` of the history."),
    (Machine, "", "In `machine` of an attempt."),
    (Manifest, MANIFEST, "All outputs of a run that succeeded, except itself. Written last."),
    (ManifestEntry, "", "In `files`."),
    (RunConfig, f"{TRAINING_CONFIG}, {EVALUATION_CONFIG}", "The request, with every default filled in."),
    (PolicyExport, f"{EXPORTED}{EXPORTED_SUMMARY}", "Inputs and outputs of the exported policy."),
    (TensorDescription, "", "In `inputs` and `outputs`."),
)
"""Model, the file that contains it, and a description."""


def request_page() -> str:
    """Write docs/request.md."""
    links = {"TrainingConfig": "#trainingconfig", "ComputeConfig": "#computeconfig"}
    return page(
        "request.md",
        example=(ROOT / "examples" / "cartpole-train.json").read_text(encoding="utf-8").strip(),
        request=table(Request, links),
        training=table(described_schema(Request)["$defs"][WORKLOADS], links),
        compute=table(ComputeConfig, links),
        refusals="\n\n".join(f"```json\n{mistake}\n```\n\n```text\n{_refusal(mistake)}\n```" for mistake in MISTAKES),
        message=table(VamsMessage, links),
    )


def settings_page() -> str:
    """Write docs/settings.md."""
    refusals = (
        f"```text\n$ {' '.join(['cdk deploy', *(f'-c {name}={value}' for name, value in wrong.items())])}\n"
        f"{_settings_refusal(wrong)}\n```"
        for wrong in WRONG_SETTINGS
    )
    return page("settings.md", settings=table(Settings, {}), refusals="\n\n".join(refusals))


def files_page() -> str:
    """Write docs/files.md."""
    links = {model.__name__: f"#{model.__name__.lower()}" for model, _, _ in FILES}
    links |= {"TrainingConfig": "request.md#trainingconfig", "ComputeConfig": "request.md#computeconfig"}
    sections = (
        f"## {model.__name__}\n\n{f'**{name}.** ' if name else ''}{text}\n\n{table(model, links, defaults=False)}"
        for model, name, text in FILES
    )
    return page("files.md", files="\n\n".join(sections))


def request_schema() -> str:
    """Write docs/request.schema.json."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Request to Gaitway"}
    return json.dumps(schema | with_empty(described_schema(Request)), indent=2) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "request.md": request_page,
    "settings.md": settings_page,
    "files.md": files_page,
    "operations.md": operations_page,
    "prometheus.md": prometheus_page,
    "prometheus/grafana.json": dashboard_file,
    "prometheus/rules.yml": rules_file,
    "request.schema.json": request_schema,
}
"""By name in docs/: the function that writes the page."""


def _refusal(request: str) -> str:
    try:
        parse_request(request)
    except RequestError as error:
        return str(error)
    raise AssertionError(f"{request} is not refused")


def _settings_refusal(context: dict[str, object]) -> str:
    try:
        load_settings(context, ROOT)
    except SettingsError as error:
        return str(error)
    raise AssertionError(f"{context} is not refused")


def main() -> None:
    """Write every page."""
    for name, write in PAGES.items():
        (DOCS / name).write_text(write(), encoding="utf-8")


if __name__ == "__main__":
    main()
