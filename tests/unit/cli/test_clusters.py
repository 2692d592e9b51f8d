"""`gaitway local up --with` and `gaitway agent`: what cannot be is said in one sentence, before anything is started."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from gaitway.cli import main
from gaitway.local import slurm
from gaitway.local.launcher import STATE_VARIABLE


def refusal(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that is refused; return what it says."""
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(line))
    assert ended.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def test_a_cluster_that_is_not_known_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--with holds 'slrum', allowed: " in refusal("local up --with slrum", capsys)


def test_where_slurm_is_not_installed_one_sentence_says_how_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    monkeypatch.setattr(slurm, "_program", lambda name: None)
    said = refusal("local up --with slurm", capsys)
    assert "Slurm is not installed on this machine (munged, slurmctld, " in said
    assert "`apt-get install slurmctld slurmd slurm-client munge`" in said
    assert not (tmp_path / "state").exists()


def test_a_scheduler_that_is_not_known_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--scheduler is 'pbs', allowed: " in refusal("agent --scheduler pbs", capsys)


def test_a_configuration_that_is_none_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "agent.json"
    config.write_text('{"queue": "orders"}')
    said = refusal(f"agent --scheduler slurm --config {config}", capsys)
    assert f"{config} is no configuration of an agent" in said
    assert "run_table" in said
