"""docs/quickstart.md, as a reader types it, on the embedded AWS; what needs an account is looked at in tests/docs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gaitway.client.runs import Runs
from gaitway.local.launcher import STATE_VARIABLE, LocalAws
from handbook.reference import DOCS, ROOT
from tests.docs.pages import blocks
from tests.local.examples import write_small_examples

PAGE = DOCS / "quickstart.md"
NOT_HERE = ("See it work", "The same in an account")
"""A demo is two runs more; and there is no account."""


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch, local_state: Path, tmp_path: Path) -> Path:
    """A reader's shell: nothing of AWS in the environment, and a directory with what a clone has."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(STATE_VARIABLE, str(local_state))
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    write_small_examples(tmp_path / "examples")
    binaries = tmp_path / ".venv" / "bin"
    binaries.parent.mkdir()
    binaries.symlink_to(Path(sys.executable).parent)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.timeout(600)
def test_the_quickstart_does_what_it_says(local_aws: LocalAws, reader: Path) -> None:
    ids: list[str] = []
    page = [block for block in blocks(PAGE) if block.heading not in NOT_HERE]
    for block, after in zip(page, [*page[1:], None], strict=True):
        if block.language != "console":
            continue
        *before, last = re.split(r"^(?=gaitway )", block.text, flags=re.MULTILINE)
        for part in before:
            _typed(part, ids).check_returncode()
        ended = _typed(last, ids)
        if after is not None and after.language == "text":
            assert ended.returncode != 0
            assert _error(ended.stderr).startswith(after.text.strip().removesuffix("..."))
        else:
            assert ended.returncode == 0, last + ended.stdout + ended.stderr

    results = reader / "outputs" / "mine"
    assert {path.name for path in results.iterdir()} >= {"exported", "checkpoints", "metrics.csv", "report.html"}
    first, _, long, last = (Runs(local_aws.session(), local_aws.deployment).find(run).record for run in ids)
    assert (first.state, last.state) == ("succeeded", "succeeded")
    assert long.failure is not None
    assert long.failure.error == "CancelledError"
    comparison = (reader / "comparison.html").read_text(encoding="utf-8")
    assert first.run_id[:12] in comparison
    assert last.run_id[:12] in comparison


def _typed(commands: str, ids: list[str]) -> subprocess.CompletedProcess[str]:
    """Run commands of the page; note the runs that they start."""
    script = re.sub(r"\bRUN\b", ids[-1] if ids else "RUN", commands)
    script = re.sub(r"\bFIRST\b", ids[0] if ids else "FIRST", script)
    # What a reader exports outlives a block.
    path = "export PATH=$PWD/.venv/bin:$PWD/node_modules/.bin:$PATH"
    ended = subprocess.run(["bash", "-ec", f"{path}\n{script}"], capture_output=True, text=True, check=False)
    ids += re.findall(r"^Submitted (run-[0-9a-f]+)$", ended.stdout, re.MULTILINE)
    return ended


def _error(stderr: str) -> str:
    return next(line for line in stderr.splitlines() if line.startswith("Error: "))
