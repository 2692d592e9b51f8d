"""Whether a machine can draw, with another pyglet in the place of libraries that a machine has or lacks."""

from pathlib import Path

import pytest

from gaitway.local.isaaclab3 import packages
from gaitway.simulators.isaaclab3.drawing import can_draw


def test_a_machine_with_opengl_can_draw(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(packages())
    assert can_draw(), capsys.readouterr().out


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ('raise ImportError("Library GL not found")', "ImportError: Library GL not found"),
        ('raise OSError("libEGL.so.1: cannot open")', "OSError: libEGL.so.1: cannot open"),
        ("import os; os._exit(7)", "exit code 7"),
    ],
)
def test_a_machine_without_it_is_named_in_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], window: str, said: str
) -> None:
    package = tmp_path / "pyglet"
    package.mkdir()
    (package / "__init__.py").write_text("options = {}\n")
    (package / "window.py").write_text(window + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert not can_draw()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Warning of the simulation: there is no video")
    assert said in line
