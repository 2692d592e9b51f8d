"""The acceptance of NVIDIA's licence, with the real command line."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from gaitway.settings import LICENCE
from tests.infra.templates import ROOT


def test_synth_without_the_acceptance_says_what_to_accept_and_stops(tmp_path: Path) -> None:
    without_credentials = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [ROOT / "node_modules/.bin/cdk", "synth", "--quiet", "--output", tmp_path / "cdk.out"],
        cwd=ROOT,
        env=without_credentials,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    (sentence,) = [line for line in done.stderr.splitlines() if "acceptNvidiaEula" in line]
    assert LICENCE in sentence
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("cdk.out/*.template.json"))
