"""The simulator runs as another user than the runner. Real processes: these tests need root, as in a container."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest

from gaitway.installation import REPOSITORY_ROOT
from gaitway.runner.host.simulator_user import VARIABLE, simulator_user
from gaitway.runner.processes.simulate import SimulatorExit, Watch, simulate
from gaitway.runner.run import EXIT_DONE
from tests.local.emulator import Emulator
from tests.local.runner_world import World
from tests.processes import wait_until_ended

UID = 10001
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")


def _python_for_everybody() -> str:
    """An interpreter that the user reaches, which one in root's home is not."""
    for python in (sys.executable, "/usr/bin/python3"):
        with suppress(OSError):
            if subprocess.run([python, "-c", ""], user=UID, group=UID, extra_groups=(), check=False).returncode == 0:
                return python
    pytest.skip("there is no interpreter that another user reaches")


def _with_open_homes(*needed: str) -> tuple[str, ...]:
    """A command line in front of another one: for that, directories are reached by everybody, wherever they lie.

    In a mount namespace of its own, a directory that is closed to others, such as root's home, is covered by one that
    holds nothing but what is needed of it.
    """
    script = ["set -e"]
    covers: dict[Path, str] = {}
    for path in map(Path, needed):
        closed = next((one for one in reversed(path.parents) if not one.stat().st_mode & stat.S_IXOTH), None)
        if closed is None:
            continue
        if closed not in covers:
            name = f"cover{len(covers)}"
            covers[closed] = f"${name}"
            script.append(f"{name}=$(mktemp -d); mount -t tmpfs -o mode=755 tmpfs ${name}")
        inside = f"{covers[closed]}/{path.relative_to(closed)}"
        script.append(f"mkdir -p {inside}; mount --bind {path} {inside}")
    script += [f"mount --rbind {cover} {closed}" for closed, cover in covers.items()]
    return ("unshare", "--mount", "sh", "-c", "\n".join([*script, 'exec "$@"']), "sh")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that other users reach, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        run = directory / "run"
        run.mkdir()
        yield run


@pytest.fixture
def as_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(UID))


WATCH = Watch(check=lambda: None, makes_progress=lambda: True, is_done=lambda: False)


def run(script: str, directory: Path, watch: Watch = WATCH) -> SimulatorExit:
    return simulate([_python_for_everybody(), "-c", script], directory, watch, lambda line: None)


@needs_root
@pytest.mark.usefixtures("as_another")
@pytest.mark.parametrize(
    "attempt",
    [
        "open(f'/proc/{os.getppid()}/environ').read()",
        "open(f'/proc/{os.getppid()}/mem').read()",
        "open('runner.json', 'w')",
        "os.remove('runner.json')",
        "os.rename('runner.json', 'mine.json')",
        "os.setuid(0)",
        "os.kill(os.getppid(), 9)",
    ],
)
def test_the_simulator_reads_neither_the_runners_environment_nor_changes_its_files(
    directory: Path, attempt: str
) -> None:
    (directory / "runner.json").write_text("{}")
    end = run(f"import os\n{attempt}", directory)
    assert end.code == 1
    assert "PermissionError" in end.lines[-1]
    assert (directory / "runner.json").read_text() == "{}"


@needs_root
@pytest.mark.usefixtures("as_another")
def test_the_simulator_gains_no_rights_by_starting_a_program(directory: Path) -> None:
    program = directory / "id"
    shutil.copy("/usr/bin/id", program)
    program.chmod(0o4755)
    assert run("import os; os.execv('./id', ['id', '-u'])", directory).lines == (str(UID),)


@needs_root
@pytest.mark.usefixtures("as_another")
def test_the_simulator_writes_where_it_has_to_and_the_runner_reads_that(directory: Path) -> None:
    (directory / "logs").mkdir()
    script = """
import getpass, os, pathlib, tempfile
print(os.getuid(), os.getgid(), os.getgroups(), getpass.getuser())
pathlib.Path("model_1.pt").write_text("weights")
pathlib.Path("logs/events").write_text("scalars")
(pathlib.Path.home() / "cache").write_text("shaders")
tempfile.TemporaryFile().close()
"""
    end = run(script, directory)
    assert end.code == 0, end.lines
    assert end.lines == (f"{UID} {UID} [] {UID}",)
    assert (directory / "model_1.pt").read_text() == "weights"
    assert (directory / "logs" / "events").stat().st_uid == UID
    # The runner removes what it keeps no longer.
    shutil.rmtree(directory / "logs")


@needs_root
@pytest.mark.usefixtures("as_another")
def test_a_simulator_that_ignores_sigterm_is_ended_with_its_children(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gaitway.runner.processes.simulate.SIMULATOR_STOP_SECONDS", 0.2)
    script = """
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
pathlib.Path("child.draft").write_text(str(child.pid))
pathlib.Path("child.draft").rename("child")
time.sleep(3600)
"""

    class StopError(Exception):
        pass

    def check() -> None:
        if (directory / "child").exists():
            _stop()

    def _stop() -> NoReturn:
        raise StopError

    with pytest.raises(StopError):
        run(script, directory, Watch(check=check, makes_progress=lambda: True, is_done=lambda: False))
    wait_until_ended(int((directory / "child").read_text()))


@pytest.mark.usefixtures("as_another")
def test_a_log_is_not_written_through_a_link(directory: Path) -> None:
    """A simulator of an earlier attempt may have left one; the runner follows it to a file of its own."""
    target = directory / "target"
    (directory / "simulator.log").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        run("print('owned')", directory)
    assert not target.exists()


def test_without_another_user_the_runner_says_that_there_is_none(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    assert simulator_user({}) is None
    assert "as the runner's own user" in caplog.text
    caplog.clear()
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert simulator_user({VARIABLE: str(UID)}) is None
    assert f"and not as {UID}" in caplog.text


@needs_root
def test_a_whole_run_is_done_as_another_user(emulator: Emulator, directory: Path) -> None:
    world = World(emulator, directory)
    try:
        world.create_bucket()
        world.submit()
        world.surroundings = _with_open_homes(sys.prefix, sys.base_prefix, str(REPOSITORY_ROOT))
        job = world.start_job("succeed", **{VARIABLE: str(UID)})
        assert job.wait() == EXIT_DONE, job.output
        assert world.outcome()["status"] == "SUCCEEDED"
        assert (world.directory / "logs").stat().st_uid == UID
        assert (world.directory / "results.json").stat().st_uid == 0
    finally:
        world.close()
