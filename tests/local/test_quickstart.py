"""docs/quickstart.md, as a reader types it, on the embedded AWS; what needs an account is looked at in tests/docs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gaitway.local.launcher import STATE_VARIABLE
from handbook.reference import DOCS, ROOT
from tests.docs.pages import Block, blocks

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
    for name in ("examples", "node_modules"):
        (tmp_path / name).symlink_to(ROOT / name)
    binaries = tmp_path / ".venv" / "bin"
    binaries.parent.mkdir()
    binaries.symlink_to(Path(sys.executable).parent)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("local_aws")
def test_the_quickstart_does_what_it_says(reader: Path) -> None:
    ids: list[str] = []
    page = [block for block in blocks(PAGE) if block.heading not in NOT_HERE]
    for block, after in zip(page, [*page[1:], None], strict=True):
        if block.language != "console":
            continue
        ended = _typed(block, ids)
        ids += re.findall(r"^Submitted (run-[0-9a-f]+)$", ended.stdout, re.MULTILINE)
        if after is not None and after.language == "text":
            assert ended.returncode != 0
            assert _error(ended.stderr).startswith(after.text.strip().removesuffix("..."))
        else:
            assert ended.returncode == 0, block.text + ended.stdout + ended.stderr

    results = reader / "outputs" / "mine"
    assert {path.name for path in results.iterdir()} >= {"exported", "checkpoints", "metrics.csv", "results.json"}


def _typed(block: Block, ids: list[str]) -> subprocess.CompletedProcess[str]:
    script = re.sub(r"\bRUN\b", ids[-1] if ids else "RUN", block.text)
    script = re.sub(r"\bFIRST\b", ids[0] if ids else "FIRST", script)
    # The reader's exports outlive a block; those of the page put our own commands on the path.
    path = "export PATH=$PWD/.venv/bin:$PWD/node_modules/.bin:$PATH"
    return subprocess.run(["bash", "-ec", f"{path}\n{script}"], capture_output=True, text=True, check=False)


def _error(stderr: str) -> str:
    return next(line for line in stderr.splitlines() if line.startswith("Error: "))
