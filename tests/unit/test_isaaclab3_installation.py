"""Isaac Lab 3 beside the environment: where it can be, where it is, and that it shares this environment's releases."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from gaitway.installation import NotInstalledError
from gaitway.local import isaaclab3
from tests.unit.test_packaging import pins


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A supported machine on which nothing is installed yet."""
    monkeypatch.setattr(isaaclab3, "DIRECTORY", tmp_path / "isaaclab3")
    monkeypatch.setattr(isaaclab3, "ASSETS", tmp_path / "isaaclab3-assets")
    monkeypatch.setattr(isaaclab3, "why_unsupported", lambda: None)
    # Newton is among the pins; what it really makes is tested in tests/unit/simulators/isaaclab3/test_real_assets.py.
    monkeypatch.setattr(isaaclab3, "_make_assets", lambda: isaaclab3.ASSETS.mkdir(exist_ok=True))
    return tmp_path


@pytest.mark.parametrize(
    ("system", "machine", "python", "libc", "named"),
    [
        ("Darwin", "arm64", (3, 12), "", "this machine is Darwin arm64"),
        ("Linux", "aarch64", (3, 12), "glibc", "this machine is Linux aarch64"),
        ("Windows", "AMD64", (3, 12), "", "this machine is Windows AMD64"),
        ("Linux", "x86_64", (3, 13), "glibc", "this is Python 3.13"),
        ("Linux", "x86_64", (3, 10), "glibc", "this is Python 3.10"),
        ("Linux", "x86_64", (3, 12), "", "with glibc"),
    ],
)
def test_where_it_has_no_wheels_one_sentence_says_why(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, python: tuple[int, int], libc: str, named: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, "2.36"))
    monkeypatch.setattr(sys, "version_info", (*python, 1))
    sentence = isaaclab3.why_missing()
    assert sentence is not None
    assert named in sentence
    with pytest.raises(NotInstalledError, match=named):
        isaaclab3.install()


def test_what_is_not_installed_names_the_command_that_installs_it(empty: Path) -> None:
    with pytest.raises(NotInstalledError, match=r"not installed in .*: run `make isaaclab3`"):
        isaaclab3.packages()


def test_it_is_installed_once_and_again_when_the_pins_change(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = empty / "requirements-isaaclab3.txt"
    monkeypatch.setattr(isaaclab3, "REQUIREMENTS", pinned)
    pinned.write_text("")
    isaaclab3.install()
    assert isaaclab3.packages() == empty / "isaaclab3"

    (empty / "isaaclab3" / "of the first time").touch()
    isaaclab3.install()
    assert (empty / "isaaclab3" / "of the first time").exists()

    pinned.write_text("# other pins\n")
    assert "other versions" in (isaaclab3.why_missing() or "")
    isaaclab3.install()
    assert isaaclab3.why_missing() is None
    assert not (empty / "isaaclab3" / "of the first time").exists()


def test_an_installation_that_fails_is_none_and_leaves_nothing(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isaaclab3, "REQUIREMENTS", empty / "missing.txt")
    with pytest.raises(subprocess.CalledProcessError):
        isaaclab3.install()
    assert list(empty.iterdir()) == []
    assert "not installed" in (isaaclab3.why_missing() or "")


def test_it_brings_nothing_that_this_environment_has() -> None:
    own = set(pins("requirements-isaaclab3.txt"))
    assert own & (set(pins("requirements.txt")) | set(pins("constraints.txt"))) == set()


def test_processes_of_the_simulator_alone_have_it_on_their_path(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = empty / "requirements-isaaclab3.txt"
    monkeypatch.setattr(isaaclab3, "REQUIREMENTS", pinned)
    pinned.write_text("")
    with pytest.raises(NotInstalledError):
        isaaclab3.variables()
    isaaclab3.install()
    variables = isaaclab3.variables()
    assert variables["PYTHONPATH"].startswith(f"{empty}/isaaclab3:")
    assert variables["ISAACSIM_ASSET_ROOT"] == f"{empty}/isaaclab3-assets"
    assert str(isaaclab3.DIRECTORY) not in sys.path
