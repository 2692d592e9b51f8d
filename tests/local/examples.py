"""The examples, small: what their own figures come to, the demo's test tells."""

from __future__ import annotations

import json
from pathlib import Path

from gaitway.installation import REPOSITORY_ROOT

ITERATIONS, EPISODES = 4, 10
_SMALL = {"numEnvs": 16, "maxIterations": ITERATIONS, "checkpointInterval": 2, "numEpisodes": EPISODES}


def write_small_examples(directory: Path) -> None:
    """Write each request of `examples/` into a directory, with figures for which nobody has to wait."""
    directory.mkdir()
    for example in (REPOSITORY_ROOT / "examples").glob("*.json"):
        request = json.loads(example.read_text(encoding="utf-8"))
        training = request["trainingConfig"]
        training |= {name: value for name, value in _SMALL.items() if name in training}
        (directory / example.name).write_text(json.dumps(request), encoding="utf-8")
