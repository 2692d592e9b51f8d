"""Pictures of the command line: `python -m handbook.terminal` writes docs/images/terminal-*.svg.

The embedded AWS must be up. The commands run in tmux, a real terminal, and its screen is drawn.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from handbook.reference import DOCS, ROOT

COLUMNS, LINES = 124, 40
_SESSION = f"gaitway-{os.getpid()}"
_WAIT_SECONDS = 120.0
_REQUEST = """{
  "name": "mine",
  "trainingConfig": {"task": "Isaac-Cartpole-Direct-v0", "%s": 256, "maxIterations": 300, "checkpointInterval": 50}
}
"""


class Terminal:
    """A terminal that commands are typed into.

    Args:
        directory: Working directory of its shell.
    """

    def __init__(self, directory: Path) -> None:
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES), "-c", str(directory))
        self.type("PS1='$ '; clear")
        self.wait(lambda screen: screen.strip() == "$")

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-session", "-t", _SESSION)

    def type(self, line: str) -> None:
        """Type a line, and return."""
        self._tmux("send-keys", "-t", _SESSION, line, "Enter")

    def wait(self, shows: Callable[[str], bool]) -> None:
        """Wait until the screen shows something.

        Raises:
            TimeoutError: It does not.
        """
        give_up_at = time.monotonic() + _WAIT_SECONDS
        while not shows(self.screen()):
            if time.monotonic() > give_up_at:
                raise TimeoutError(self.screen())
            time.sleep(0.1)

    def run(self, line: str) -> str:
        """Type a command, wait for its end, and return the text on the screen."""
        self.type(line)
        time.sleep(1.0)
        self.wait(lambda screen: screen.rstrip().splitlines()[-1:] == ["$"])
        return self.screen()

    def screen(self, *, colors: bool = False) -> str:
        """The text on the screen."""
        return self._tmux("capture-pane", "-p", *(("-e",) if colors else ()), "-t", _SESSION)

    @staticmethod
    def _tmux(*arguments: str) -> str:
        if "new-session" in arguments:
            arguments = (*arguments, "-s", _SESSION, "bash --norc --noprofile")
        # A server of our own, which ends with its one session.
        return subprocess.run(["tmux", "-L", _SESSION, *arguments], capture_output=True, text=True, check=True).stdout


def picture(screen: str, title: str) -> str:
    """Draw a terminal's screen.

    Args:
        screen: Its lines, with escape sequences.
        title: Of the window.
    """
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(screen.rstrip().removesuffix("$").rstrip()))
    # A font of the reader's, not one from elsewhere.
    return re.sub(r"\s*@font-face \{.*?\}\n", "\n", console.export_svg(title=title), flags=re.DOTALL)


def main() -> None:
    """Draw the demo; a mistake and the corrected run while it is active; and the runs afterwards."""
    with Terminal(ROOT) as terminal:
        terminal.type("clear; make demo")
        terminal.wait(lambda screen: re.search(r"[3-9][0-9]/100", screen) is not None)
        training = terminal.screen(colors=True).rstrip()
        terminal.wait(lambda screen: "how to look inside" in screen)
        shown = f"{training}\n\n... half a minute later\n\n{terminal.screen(colors=True)}"
        (DOCS / "images" / "demo.svg").write_text(picture(shown, "make demo"))
    with tempfile.TemporaryDirectory() as folder, Terminal(Path(folder)) as terminal:
        request = Path(folder) / "mine.json"
        terminal.run(f"export PATH={ROOT}/.venv/bin:$PATH; clear")
        request.write_text(_REQUEST % "numEnv", encoding="utf-8")
        terminal.run("gaitway submit mine.json")
        request.write_text(_REQUEST % "numEnvs", encoding="utf-8")
        terminal.type("gaitway submit mine.json --watch")
        terminal.wait(lambda screen: re.search(r"1[0-9]{2}/300", screen) is not None)
        (DOCS / "images" / "terminal-watch.svg").write_text(picture(terminal.screen(colors=True), "gaitway submit"))
        terminal.wait(lambda screen: "succeeded after" in screen)
        run = re.findall(r"(run-[0-9a-f]{8})[0-9a-f]+ succeeded", terminal.screen())[-1]
        terminal.run("clear")
        terminal.run("gaitway ls")
        terminal.run(f"gaitway show {run}")
        (DOCS / "images" / "terminal-show.svg").write_text(picture(terminal.screen(colors=True), "gaitway show"))


if __name__ == "__main__":
    main()
