"""`gaitway view`: from a run's record to an address that a browser opens.

The AWS CLI is a script here that says what it was asked, and listens at the port that it was given: nothing is
forwarded from anywhere, and no permission is checked.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

from gaitway.cli import view as module
from gaitway.cli.exits import Exit, explain
from gaitway.cli.view import ForwardingError, view
from gaitway.client.files import NoResultsError
from gaitway.client.runs import FoundRun
from gaitway.commands import Commands
from gaitway.contracts.history import Machine
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import ComputeConfig
from gaitway.contracts.run import RunRecord, RunSpec, RunState
from gaitway.contracts.workload import TrainingConfig
from gaitway.installation import NotInstalledError
from gaitway.local.launcher import LocalSession

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = "run-0123456789abcdef0123"
INSTANCE = Machine(instance_type="g6.2xlarge", instance_id="i-0123456789abcdef0")
SHOWN = re.compile(r"is shown at (http://127\.0\.0\.1:(\d+)/)")

LISTENS = f"""#!{sys.executable}
import http.server, os, sys, pathlib
pathlib.Path(os.environ["ASKED"]).write_text(chr(10).join(sys.argv[1:]))
port = int(sys.argv[sys.argv.index("--parameters") + 1].rpartition("=")[2])
http.server.HTTPServer(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
REFUSES = f"""#!{sys.executable}
raise SystemExit("An error occurred (TargetNotConnected): i-0123456789abcdef0 is not connected.")
"""


def record(state: RunState = RunState.RUNNING, *, live_view: bool = True, **fields: Any) -> RunRecord:
    spec = RunSpec(
        run_id=RUN,
        training=TrainingConfig(live_view=live_view),
        compute=ComputeConfig(),
        output_files=S3Uri("bucket", "output/"),
    )
    return RunRecord(run_id=RUN, state=state, created_at=NOW, updated_at=NOW, **({"spec": spec} | fields))


ENDED = record(RunState.SUCCEEDED)
CONSTRUCTING = record(RunState.ACCEPTED, spec=None)


def port_of(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("http://").strip("/").partition(":")
    return host, int(port)


class Place:
    """A deployment whose run has one record after the other."""

    def __init__(self, session: boto3.Session, records: Sequence[RunRecord | Callable[[], RunRecord]]) -> None:
        self.session = session
        self.commands = Commands(profile="robots")
        self.runs = self
        self._records: Iterator[RunRecord | Callable[[], RunRecord]] = iter(records)

    def command(self, text: str) -> str:
        return self.commands.gaitway(text)

    def find(self, run: str) -> FoundRun:
        following = next(self._records)
        return FoundRun(following() if callable(following) else following, None)

    def look_again(self, found: FoundRun) -> FoundRun:
        return self.find(found.run_id)


Look = Callable[..., None]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Look:
    """Give the command a run, on the embedded AWS or in an account."""
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.01)

    def at(*records: RunRecord | Callable[[], RunRecord], account: bool = False) -> None:
        session = boto3.Session(region_name="eu-west-1") if account else LocalSession("http://127.0.0.1:9")
        monkeypatch.setattr(module, "choose", lambda *_: Place(session, records))
        view(RUN)

    return at


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Install a stand-in for the AWS CLI, and for its plugin; return the file with what it was asked."""

    def install(aws: str) -> Path:
        for name, text in (("aws", aws), ("session-manager-plugin", "#!/bin/sh\n")):
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
        return tmp_path / "asked"

    return install


def test_it_waits_for_the_simulation_gives_its_address_and_ends_with_the_run(
    look: Look, capsys: pytest.CaptureFixture[str]
) -> None:
    serving = record(live_view_port=4711)
    look(CONSTRUCTING, record(RunState.QUEUED), record(), serving, serving, record(), ENDED)
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"{RUN} is shown at http://127.0.0.1:4711/ (Ctrl-C ends this)",
        f"{RUN} has ended: succeeded",
    ]
    waits = [line.partition(" is ")[2].partition(":")[0] for line in err.splitlines()]
    assert waits == ["accepted", "queued", "running", "running"]


def test_another_attempt_has_another_address(look: Look, capsys: pytest.CaptureFixture[str]) -> None:
    look(record(live_view_port=4711), record(live_view_port=4712), ENDED)
    assert [port for _, port in SHOWN.findall(capsys.readouterr().out)] == ["4711", "4712"]


def test_what_has_ended_cannot_be_looked_into(look: Look) -> None:
    with pytest.raises(NoResultsError, match=r"has ended.*gaitway results"):
        look(ENDED)


def test_a_run_without_live_view_is_refused_as_soon_as_its_request_is_known(look: Look) -> None:
    with pytest.raises(NoResultsError, match=r"does not have trainingConfig\.liveView.*gaitway watch"):
        look(CONSTRUCTING, record(live_view=False))


def test_in_an_account_the_port_of_the_runs_instance_is_forwarded_for_as_long_as_it_is_there(
    look: Look, programs: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = programs(LISTENS)
    addresses: list[str] = []

    def while_shown() -> RunRecord:
        [(address, _)] = SHOWN.findall(capsys.readouterr().out)
        addresses.append(address)
        socket.create_connection(port_of(address), timeout=10).close()
        return ENDED

    look(record(live_view_port=4711, machine=INSTANCE), while_shown, account=True)
    [address] = addresses
    _, port = port_of(address)
    assert asked.read_text().splitlines() == [
        *("ssm", "start-session", "--target", "i-0123456789abcdef0"),
        *("--document-name", "AWS-StartPortForwardingSession"),
        *("--parameters", f"portNumber=4711,localPortNumber={port}"),
        *("--region", "eu-west-1", "--profile", "robots"),
    ]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(port_of(address), timeout=10)


def test_why_nothing_is_forwarded_is_said_with_what_it_needs(look: Look, programs: Callable[[str], Path]) -> None:
    programs(REFUSES)
    with pytest.raises(ForwardingError, match=r"TargetNotConnected.*ssm:StartSession.*allowLiveView") as raised:
        look(record(live_view_port=4711, machine=INSTANCE), account=True)
    assert explain(raised.value)[0] == Exit.FAILED


def test_a_machine_without_the_plugin_says_what_to_install(
    look: Look, programs: Callable[[str], Path], tmp_path: Path
) -> None:
    programs(LISTENS)
    (tmp_path / "session-manager-plugin").unlink()
    with pytest.raises(NotInstalledError, match="needs session-manager-plugin: install the Session Manager plugin"):
        look(record(live_view_port=4711, machine=INSTANCE), account=True)


def test_an_instance_that_is_not_known_is_said(look: Look) -> None:
    machine = INSTANCE.model_copy(update={"instance_id": None})
    with pytest.raises(ForwardingError, match="does not name its instance"):
        look(record(live_view_port=4711, machine=machine), account=True)
