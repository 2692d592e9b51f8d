"""Whether Newton's viewer can draw on this machine, since a video is not worth a run that fails; and what it draws."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from gaitway.simulators.common.optional import warn

_OPEN_A_WINDOW = """
import pyglet
pyglet.options["headless"] = True
import pyglet.window
pyglet.window.Window(width=16, height=16, visible=False)
"""
"""As newton/_src/viewer/gl/opengl.py does, which asks for pyglet wherever it is OpenGL that is missing."""
_SECONDS = 60.0


def can_draw() -> bool:
    """Try it in a process of its own, whose context does not disturb the viewer's; a warning says why it cannot."""
    try:
        tried = subprocess.run(
            [sys.executable, "-c", _OPEN_A_WINDOW],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if tried.returncode == 0:
            return True
        *_, reason = tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"]
    except subprocess.TimeoutExpired:
        reason = f"opening a window takes more than {_SECONDS:.0f} s"
    warn(f"there is no video, since this machine cannot draw: {reason}. It needs the libraries libEGL and libOpenGL")
    return False


def draw_something(viewer: Any) -> None:  # noqa: ANN401
    """Let the viewer draw shapes for collisions where no body has others: the picture would be empty, but for the sky.

    The ant and the humanoid that are made from Newton's files have such shapes only, and those are not drawn by default
    (`hide_collision_shapes` of newton/_src/utils/import_usd.py, `show_collision` of Isaac Lab's visualizer).
    """
    from newton import ShapeFlags

    model = viewer.backend.model
    is_drawn = (model.shape_flags.numpy() & int(ShapeFlags.VISIBLE)) != 0
    if not is_drawn[model.shape_body.numpy() >= 0].any():
        # The first for what the viewer shows after a change of its model.
        viewer.cfg.show_collision = viewer._viewer.show_collision = True
