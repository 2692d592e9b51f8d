"""A look into real Isaac Lab 3.0 while it trains, in a real browser; and what it costs those who do not ask for it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio.v3
import psutil
import pytest
from playwright.sync_api import Page

from container.pin_isaaclab3 import pinned
from gaitway.contracts.simulation import EXIT_STOPPED, STOP_FILE, TRAINING_PROGRESS, live_view_port
from gaitway.local import isaaclab3
from tests.unit.report.browser import chromium
from tests.unit.simulators.isaaclab3.real import only_with_isaac_lab_3
from tests.unit.simulators.jobs import REPOSITORY, write_job

pytestmark = [only_with_isaac_lab_3, pytest.mark.slow]

_CONNECTS = """([address, protocol]) => new Promise((resolve) => {
    const socket = new WebSocket(address, protocol);
    socket.onopen = () => resolve(true);
    socket.onerror = () => resolve(false);
})"""
_LONG = 100_000
"""Iterations: until it is asked to stop."""
_LOADED = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1:]))
from gaitway.simulators.isaaclab3.__main__ import main
code = main(["simulation.json"])
print("loaded:", sorted({name.partition(".")[0] for name in sys.modules} & {"msgspec", "viser", "websockets"}))
sys.exit(code)
"""


def write(directory: Path, **training: Any) -> None:
    write_job(directory, {"task": "Isaac-Cartpole-Direct", "num_envs": 32, "seed": 7, **training})


VARIABLES = os.environ | {
    "PYTHONPATH": str(REPOSITORY),
    "GAITWAY_ASSET_SOURCE": "",
    "WARP_CACHE_PATH": str(isaaclab3.KERNELS),
}


class Training:
    """A training that can be looked into, whose output is in a file."""

    def __init__(self, directory: Path) -> None:
        self._output = directory / "output"
        command = [sys.executable, "-m", "gaitway.simulators.isaaclab3", "simulation.json"]
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                command, cwd=directory, env=VARIABLES, stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def port(self) -> int:
        """Wait until it says where its page is."""
        while self.process.poll() is None:
            if found := [port for port in map(live_view_port, self.output.splitlines()) if port is not None]:
                return found[0]
            time.sleep(0.1)
        raise AssertionError(self.output)


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Training]:
    write(tmp_path, max_iterations=_LONG, live_view=True)
    started = Training(tmp_path)
    yield started
    started.process.kill()
    started.process.wait()


@pytest.mark.timeout(400)
def test_a_browser_sees_the_environments_move_and_can_do_nothing_else(training: Training, tmp_path: Path) -> None:
    port = training.port()
    connections = psutil.Process(training.process.pid).connections("tcp")
    assert [tuple(each.laddr) for each in connections if each.status == "LISTEN"] == [("127.0.0.1", port)]

    with chromium() as browser:
        page = browser.new_page(viewport={"width": 600, "height": 400})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_text("Physics: Newton").wait_for(timeout=60_000)
        assert page.get_by_text("Pause Simulation").count() == page.get_by_text("Reset Episode").count() == 0
        assert until_it_moves(page) > 0
        own = (f"http://127.0.0.1:{port}/", f"blob:http://127.0.0.1:{port}/")
        assert [address for address in asked if not address.startswith(own)] == []

        socket = [f"ws://127.0.0.1:{port}", f"viser-v{pinned()['viser']}"]
        assert page.evaluate(_CONNECTS, socket)
        another = browser.new_page()
        another.goto("data:text/html,another page")
        assert not another.evaluate(_CONNECTS, socket)

    (tmp_path / STOP_FILE).touch()
    assert training.process.wait() == EXIT_STOPPED, training.output
    assert TRAINING_PROGRESS.search(training.output)
    # The runner reports the last line.
    assert "which is saved as" in training.output.splitlines()[-1]


def until_it_moves(page: Page) -> int:
    """Count the pixels of the scene that differ between two pictures, of which the second follows until one does."""
    first = picture(page)
    give_up_at = time.monotonic() + 120
    while time.monotonic() < give_up_at:
        different = sum(one != other for one, other in zip(first, picture(page), strict=True))
        if different:
            return different
    return 0


def picture(page: Page) -> bytes:
    """Draw the canvas alone: what else is on the page may move, too."""
    drawn = imageio.v3.imread(io.BytesIO(page.locator("canvas").first.screenshot(timeout=120_000)))
    # Below the notice and the panel, which lie over it.
    lower: bytes = drawn[len(drawn) // 2 :].tobytes()
    return lower


def run_one_iteration(directory: Path, *missing: str, **asked: Any) -> str:
    """Train to the end, without some packages; return the output, and in its last line what was loaded."""
    write(directory, max_iterations=1, **asked)
    command = [sys.executable, "-c", _LOADED, *missing]
    ended = subprocess.run(command, cwd=directory, env=VARIABLES, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_who_does_not_ask_for_it_loads_nothing_of_it(tmp_path: Path) -> None:
    assert "loaded: []" in run_one_iteration(tmp_path)


def test_a_viewer_that_fails_is_a_warning(tmp_path: Path) -> None:
    output = run_one_iteration(tmp_path, "viser", live_view=True)
    assert "Warning of the simulation: there is no live view: ImportError: " in output
    assert "Live view: port" not in output
    assert "Trained iterations: 1/1" in output
