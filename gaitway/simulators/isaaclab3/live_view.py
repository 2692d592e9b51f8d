"""A look into the running simulation: a page on 127.0.0.1 that shows the first environments and changes nothing.

Isaac Lab's own visualizer draws it, with viser. Nothing of either is imported unless a request asks for it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from isaaclab_visualizers.viser import ViserVisualizerCfg
from isaaclab_visualizers.viser.viser_visualizer import ViserVisualizer
from numpy.typing import NDArray
from websockets.asyncio import server as websockets_server

from gaitway.contracts.simulation import live_view_line
from gaitway.simulators.common.optional import optional
from gaitway.simulators.isaaclab3.drawing import draw_something

_ADDRESS = "127.0.0.1"
"""Isaac Lab's default is every interface of the machine."""
_ANY_PORT = 0
"""The operating system chooses: jobs on one instance share its network."""
_ENVIRONMENTS = 16
"""A browser without a GPU still moves so many."""
_SECONDS_PER_FRAME = 1 / 20
_DIRECTION = np.array([0.45, -0.55, 0.4])
"""From what is looked at to the camera, by the size of what is looked at."""
_LEAST_METRES = 1.5
_OUR_PAGE = re.compile(r"http://(?:127\.0\.0\.1|localhost)(?::\d+)?")
"""Its origin in the browser. Pages of other origins may open WebSockets to this machine, too."""


class LiveView(ViserVisualizer):  # type: ignore[misc]
    """Isaac Lab's visualizer, without controls, not faster than a browser draws, and no reason for a run to fail."""

    _next_frame_at = 0.0

    def initialize(self, scene_data_provider: Any) -> None:  # noqa: ANN401
        """Serve the page, and print its port; after an error serve nothing."""
        # Isaac Lab removes a visualizer that is closed, and goes on without it.
        self._is_closed = True
        with optional("there is no live view"), _for_our_page_only():
            super().initialize(scene_data_provider)
            draw_something(self)
            self._place_camera()
            self._is_closed = False
            print(live_view_line(self._viewer._server.get_port()), flush=True)  # noqa: T201 - the contract's line

    def step(self, dt: float) -> None:
        """Show the present state, unless the last one was a moment ago; nothing is drawn while nobody looks."""
        now = time.monotonic()
        if now < self._next_frame_at:
            return
        with optional("the live view has ended"):
            super().step(dt)
            self._next_frame_at = time.monotonic() + _SECONDS_PER_FRAME
            return
        self._is_closed = True

    def _compute_visualized_env_ids(self) -> list[int]:
        """Choose the environments that are nearest to the first one: in their order they stand in rows."""
        origins = self._scene_data_provider.get_interactive_scene().env_origins.cpu().numpy()
        distances = np.linalg.norm(origins - origins[0], axis=1)
        return [int(number) for number in np.argsort(distances, kind="stable")[:_ENVIRONMENTS]]

    def set_camera_view(self, eye: Any, target: Any) -> None:  # noqa: ANN401
        """Leave the camera to who looks."""

    def _set_viser_camera_view(self, pose: Any) -> None:  # noqa: ANN401
        """Leave the camera to who looks."""

    def _setup_isaaclab_sidebar(self, server: Any) -> None:  # noqa: ANN401
        """Offer no buttons: Isaac Lab's pause the simulation, or reset its episodes."""
        server.gui.set_panel_label("Gaitway")
        # viser's own button, and the message behind it, would open a tunnel to a public server.
        server.gui.configure_theme(show_share_button=False)
        server.request_share_url = _share_nothing

    def _place_camera(self) -> None:
        """Let every visitor see all environments that are shown."""
        positions = self._positions()
        if not len(positions):
            return
        low, high = positions.min(axis=0), positions.max(axis=0)
        centre, size = (low + high) / 2, max(float(np.linalg.norm(high - low)), _LEAST_METRES)
        camera = self._viewer._server.initial_camera
        camera.position = tuple(centre + size * _DIRECTION)
        camera.look_at = tuple(centre)

    def _positions(self) -> NDArray[np.float64]:
        """Return where the bodies of the shown environments are, in metres: (bodies, 3)."""
        worlds = self.backend.model.body_world.numpy()
        bodies: NDArray[np.float64] = self.backend.state_0.body_q.numpy()[:, :3].astype(float)
        return bodies[np.isin(worlds, self._env_ids)]


def _share_nothing(*_: object, **__: object) -> None:
    """Take the place of viser's public address."""


def visualizer() -> ViserVisualizerCfg:
    """Configure it."""
    return ViserVisualizerCfg(
        class_type=LiveView,
        bind_address=_ADDRESS,
        port=_ANY_PORT,
        verbose=False,
        # Both would cost time even while nobody looks.
        enable_markers=False,
        enable_live_plots=False,
    )


@contextmanager
def _for_our_page_only() -> Iterator[None]:
    """Let the server that starts meanwhile refuse WebSockets from other pages in a user's browser.

    viser has no option for that; `websockets` has:
    websockets.readthedocs.io/en/stable/reference/asyncio/server.html
    """
    serve: Any = websockets_server.serve
    websockets_server.serve = partial(serve, origins=[_OUR_PAGE])
    try:
        yield
    finally:
        websockets_server.serve = serve
