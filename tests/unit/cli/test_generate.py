"""`gaitway generate`: options and a YAML file say the same, and what is wrong in the file is named."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gaitway.cli import generate, main
from gaitway.commands import DEFAULT_COMMANDS, Commands
from gaitway.contracts.request import Request

REQUEST = {"name": "ant", "trainingConfig": {"task": "Isaac-Ant-v0", "maxIterations": 7}}


@dataclass
class Desk:
    """A user, and what their commands ask a deployment for."""

    directory: Path
    capsys: pytest.CaptureFixture[str]
    places: list[tuple[Any, ...]]
    requests: list[Request]

    def write(self, text: str, name: str = "config.yaml") -> None:
        """Write a file."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def run(self, line: str, code: int = 0) -> str:
        """Run a command; return what it says."""
        with pytest.raises(SystemExit) as ended:
            main(["generate", *shlex.split(line)])
        said = self.capsys.readouterr()
        assert (ended.value.code or 0) == code, said.err
        return said.out if code == 0 else said.err

    def refusal(self, text: str) -> str:
        """Say what is wrong with a file."""
        self.write(text)
        return " ".join(self.run("--config config.yaml", code=2).split())


@dataclass(frozen=True)
class Place:
    """A deployment that is only named."""

    session: None = None
    commands: Commands = DEFAULT_COMMANDS

    def command(self, text: str) -> str:
        """Write a command."""
        return self.commands.gaitway(text)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    desk = Desk(tmp_path, capsys, [], [])

    def choose(*place: object) -> Place:
        desk.places.append(place)
        return Place()

    def documents(request: Request, *_: object) -> dict[str, str]:
        desk.requests.append(request)
        return {"job.json": json.dumps(request.model_dump(mode="json"))}

    monkeypatch.setattr(generate, "choose", choose)
    monkeypatch.setattr(generate, "generate_documents", documents)
    monkeypatch.chdir(tmp_path)
    desk.write(json.dumps(REQUEST), "ant.json")
    return desk


@pytest.mark.parametrize(
    ("options", "file"),
    [
        ("ant.json", "request: ant.json"),
        (
            "ant.json --backend hyperpod-slurm -o out --local",
            "request: ant.json\nbackend: hyperpod-slurm\noutput: out\nlocal: true",
        ),
        (
            "ant.json --profile p --region r --deployment legs",
            "{request: ant.json, profile: p, region: r, deployment: legs}",
        ),
        (
            "ant.json --backend sagemaker",
            "request:\n  name: ant\n  trainingConfig: {task: Isaac-Ant-v0, maxIterations: 7}\nbackend: sagemaker",
        ),
    ],
)
def test_a_file_says_what_options_say(desk: Desk, options: str, file: str) -> None:
    by_options = desk.run(options)
    desk.write(file)
    assert desk.run("--config config.yaml") == by_options
    assert desk.places[0] == desk.places[1]
    assert desk.requests[0] == desk.requests[1]


def test_paths_in_a_file_are_relative_to_it(desk: Desk) -> None:
    desk.write(json.dumps(REQUEST), "jobs/ant.json")
    desk.write("request: ant.json\noutput: out", "jobs/config.yaml")
    assert desk.run("--config jobs/config.yaml").split() == ["jobs/out/job.json"]
    assert (desk.directory / "jobs" / "out" / "job.json").is_file()


def test_without_an_output_the_documents_are_where_the_option_puts_them_by_default(desk: Desk) -> None:
    desk.write(json.dumps(REQUEST), "jobs/ant.json")
    desk.write("request: ant.json", "jobs/config.yaml")
    assert desk.run("--config jobs/config.yaml").split() == ["generated/job.json"]


def test_what_the_command_line_says_wins(desk: Desk) -> None:
    desk.write("{request: lost.json, backend: sagemaker, output: out, local: true, deployment: legs}")
    desk.run("ant.json --config config.yaml --backend hyperpod-eks -o other --profile p")
    assert [one.compute_config.backend for one in desk.requests] == ["hyperpod-eks"]
    # A profile in place of the embedded AWS, with which it cannot be combined.
    assert desk.places == [(False, "p", None, "legs")]
    assert (desk.directory / "other" / "job.json").is_file()


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("request: ant.json\nbackends: batch", "backends is not a known key (did you mean backend?), allowed: request"),
        ("request: ant.json\nbackend: slurm", "backend is 'slurm', allowed: 'batch', 'sagemaker', 'hyperpod-eks' or"),
        ("request: ant.json\nlocal: 1", "local is 1, allowed: a valid boolean"),
        ("request: 7", "request is 7, which is neither a path nor a request: give the path of a JSON file"),
        ("request: {trainingConfig: {numEnv: 3}}", "request: trainingConfig.numEnv is not a known key (did you mean n"),
        ("backend: batch\nbackend: sagemaker", "the key 'backend' stands twice: keep one"),
        ("request: {name: a, name: b}", "the key 'name' stands twice: keep one"),
        ("- batch", "it holds ['batch'], allowed: keys, as `backend: hyperpod-slurm`"),
        ("request: ant.json\nbackend: [", "it is not valid YAML"),
        ("request: !!python/object:os.system {}", "it is not valid YAML"),
        ("backend: batch", "FILE is missing: give the path of a request, or --config with a file that names one"),
        ("request: lost.json", "lost.json cannot be read (No such file or directory)"),
        (
            "request: {computeConfig: {gpuSlice: 1g.10gb, backend: hyperpod-eks}}\nbackend: batch",
            "computeConfig.gpuSlice is '1g.10gb', but computeConfig.backend is 'batch'",
        ),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(desk: Desk, file: str, said: str) -> None:
    assert said in desk.refusal(file)
    assert desk.places == []


def test_a_file_that_is_not_there_is_named(desk: Desk) -> None:
    assert "config.yaml cannot be read (No such file" in desk.run("--config config.yaml", code=2)
    assert "FILE is missing" in desk.run("--backend batch", code=2)
