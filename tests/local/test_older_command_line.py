"""An older commit's command line on today's deployment: docs/upgrading.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from gaitway.contracts.request import parse_request
from gaitway.local.launcher import STATE_VARIABLE
from tests.local.deployed import TINY, ControlPlane
from tests.older import TOLERANT, checked_out


class OlderCommand:
    """The `gaitway` of a commit, for a user without any AWS configuration."""

    def __init__(self, commit: str, directory: Path, state: Path) -> None:
        self._directory = checked_out(commit, directory, "gaitway", "container")
        others = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self._environment = others | {"PYTHONPATH": str(self._directory), STATE_VARIABLE: str(state)}

    def __call__(self, *arguments: str) -> Any:
        """Run a command line; return the document that it wrote."""
        ended = subprocess.run(
            [sys.executable, "-c", "import sys; from gaitway.cli import main; sys.exit(main())", *arguments],
            cwd=self._directory,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)


def test_an_older_command_line_shows_a_run_of_today(plane: ControlPlane, local_state: Path, tmp_path: Path) -> None:
    run = plane.runs.start(parse_request({"trainingConfig": TINY}))
    assert plane.ended(run.execution_arn)["status"] == "SUCCEEDED"
    older = OlderCommand(TOLERANT, tmp_path / "older", local_state)

    shown = older("show", run.run_id, "--local", "--json")
    listed = older("ls", "--local", "--json")

    assert (shown["run_id"], shown["state"]) == (run.run_id, "succeeded")
    assert run.run_id in {one["run_id"] for one in listed}
