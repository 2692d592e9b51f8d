"""`gaitway view`: a look into a simulation while it runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import IO, TYPE_CHECKING, Annotated

import typer

from gaitway.cli.show import console
from gaitway.cli.target import DeploymentOption, LocalOption, ProfileOption, RegionOption, Target, choose
from gaitway.client.files import NoResultsError
from gaitway.contracts.errors import GaitwayError
from gaitway.installation import NotInstalledError
from gaitway.local.launcher import LocalSession, interrupted_by_any_signal
from gaitway.local.runtime import HOST

if TYPE_CHECKING:
    from gaitway.contracts.run import RunRecord

_POLL_SECONDS = 1.0
_READY_POLL_SECONDS = 0.2
_FORWARDING_SECONDS = 60.0
"""A session takes a few seconds to begin."""
_DOCUMENT = "AWS-StartPortForwardingSession"
"""docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-sessions-start.html"""
_PROGRAMS = {
    "aws": "the AWS CLI: docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html",
    "session-manager-plugin": "the Session Manager plugin of the AWS CLI: "
    "docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html",
}
"""What forwards a port, and what to install for it."""


class ForwardingError(GaitwayError):
    """A port of the instance does not arrive here."""


def view(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, or its beginning, with or without run-.")],
    local: LocalOption = False,
    profile: ProfileOption = None,
    region: RegionOption = None,
    deployment: DeploymentOption = None,
) -> None:
    """Print the address at which a browser shows a running simulation, until the run ends or Ctrl-C.

    The run's request must have liveView. In an account, the AWS CLI forwards the port from the run's instance.
    """
    target = choose(local, profile, region, deployment)
    found = target.runs.find(run)
    run_id, record = found.run_id, found.record
    if record.state.ended:
        raise NoResultsError(
            f"{run_id} has ended, and no simulation runs that could be shown: "
            f"`{target.command(f'results {run_id}')}` fetches its results"
        )
    port: int | None = None
    waiting = ""
    with contextlib.suppress(KeyboardInterrupt), interrupted_by_any_signal(), ExitStack() as way:
        while not record.state.ended:
            _require_live_view(record, target)
            if record.live_view_port != port:
                way.close()
                port, waiting = record.live_view_port, ""
                if port is not None:
                    address = way.enter_context(_reach(record, port, target))
                    console().print(f"{run_id} is shown at {address} (Ctrl-C ends this)", soft_wrap=True)
            if port is None and waiting != record.state:
                waiting = record.state
                console(stderr=True).print(f"{run_id} is {waiting}: waiting for its simulation", soft_wrap=True)
            time.sleep(_POLL_SECONDS)
            record = target.runs.look_again(found).record
        console().print(f"{run_id} has ended: {record.state}", soft_wrap=True)


def _require_live_view(record: RunRecord, target: Target) -> None:
    """Refuse a run that will never be shown.

    Raises:
        NoResultsError: Its request, which the record has once the run is constructed, does not have liveView.
    """
    if record.spec is not None and not record.spec.training.live_view:
        raise NoResultsError(
            f"{record.run_id} cannot be shown, since its request does not have trainingConfig.liveView: start a run "
            f"that has it; `{target.command(f'watch {record.run_id}')}` shows the progress of this one"
        )


def _reach(record: RunRecord, port: int, target: Target) -> AbstractContextManager[str]:
    """Return a context in which a simulation's page has an address on this machine."""
    if isinstance(target.session, LocalSession):
        return contextlib.nullcontext(f"http://{HOST}:{port}/")
    if record.machine is None or record.machine.instance_id is None:
        raise ForwardingError(
            f"the record of {record.run_id} does not name its instance, so no port can be forwarded from there: deploy "
            f"this version (`{target.command('doctor')}` says which one is deployed), and start another run"
        )
    return _forwarded(record.machine.instance_id, port, target)


@contextlib.contextmanager
def _forwarded(instance_id: str, port: int, target: Target) -> Iterator[str]:
    """Forward a port of an instance to one of this machine, and yield its address.

    Raises:
        NotInstalledError: This machine lacks a program for it.
        ForwardingError: The AWS CLI does not forward it, and has said why.
    """
    for program, what in _PROGRAMS.items():
        if shutil.which(program) is None:
            raise NotInstalledError(f"for a run in an account, gaitway view needs {program}: install {what}")
    here = _free_port()
    command = ["aws", "ssm", "start-session", "--target", instance_id, "--document-name", _DOCUMENT]
    command += ["--parameters", f"portNumber={port},localPortNumber={here}"]
    if target.session.region_name:
        command += ["--region", target.session.region_name]
    if target.commands.profile:
        command += ["--profile", target.commands.profile]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        # A group of its own: the plugin that the AWS CLI starts does not end with it.
        forwarding = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            _await(here, forwarding, output, instance_id)
            yield f"http://{HOST}:{here}/"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(forwarding.pid, signal.SIGTERM)
            forwarding.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
        return port


def _await(port: int, forwarding: subprocess.Popen[bytes], output: IO[str], instance_id: str) -> None:
    give_up_at = time.monotonic() + _FORWARDING_SECONDS
    while time.monotonic() < give_up_at and forwarding.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(_READY_POLL_SECONDS)
    output.seek(0)
    *_, reason = output.read().strip().splitlines() or [f"nothing happened in {_FORWARDING_SECONDS:.0f} s"]
    raise ForwardingError(
        f"the AWS CLI forwards no port from {instance_id}: {reason}. It needs ssm:StartSession for the instance and "
        f"for the document {_DOCUMENT}, and an instance that started after the setting allowLiveView was deployed"
    )
