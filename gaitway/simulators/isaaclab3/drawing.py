"""Whether Newton's viewer can draw on this machine: a video is not worth a run that fails."""

from __future__ import annotations

import os
import subprocess
import sys

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
