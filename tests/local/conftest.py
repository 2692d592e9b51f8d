"""The emulator as a real process: bare, and with our stacks in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gaitway.local.cdk import CdkDeployer
from gaitway.local.extensions import marks
from gaitway.local.launcher import Launcher, LocalAws
from gaitway.local.server_process import start_server, stop_server
from tests.local.deployed import ControlPlane
from tests.local.emulator import Emulator

SECRET_MARK = "GaitwaySecret"
"""Every task token and every credential of the deployed stacks holds it; no log, no file and so on may."""


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One emulator per test process, ended with it."""
    state_directory = tmp_path_factory.mktemp("emulator")
    record = start_server(state_directory)
    try:
        yield Emulator(record.endpoint_url, state_directory)
    finally:
        stop_server(state_directory)


@pytest.fixture(scope="session")
def local_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state directory of `local_aws`."""
    return tmp_path_factory.mktemp("local-aws") / "state"


@pytest.fixture(scope="session")
def local_aws(local_state: Path) -> Iterator[LocalAws]:
    """One emulator per test process with our stacks deployed by the real CDK, ended with it."""
    launcher = Launcher(local_state, CdkDeployer(local_state.with_name("cdk")))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(marks.VARIABLE, SECRET_MARK)
            local_aws = launcher.up(lambda line: None)
        yield local_aws
    finally:
        launcher.down()


@pytest.fixture(scope="session")
def plane(local_aws: LocalAws) -> ControlPlane:
    """What callers do with our deployed stacks."""
    return ControlPlane(local_aws)
