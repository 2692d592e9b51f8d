"""`gaitway local up --with` and `gaitway agent`: what cannot be is said in one sentence, before anything is started."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from gaitway.cli import main
from gaitway.local import slurm
from gaitway.local.cdk import CdkDeployer
from gaitway.local.launcher import CLUSTERS, STATE_VARIABLE, Launcher


def refusal(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that is refused; return what it says."""
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(line))
    assert ended.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def test_a_cluster_that_is_not_known_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal("local up --with sagemaker,slrum", capsys)
    assert "--with holds 'slrum', allowed: sagemaker, eks, slurm" in said


@pytest.mark.parametrize(
    ("line", "clusters"),
    [
        ("", []),
        ("--with sagemaker", []),
        ("--with slurm", ["slurm"]),
        ("--with sagemaker,slurm,eks", ["eks", "slurm"]),
        ("--with eks --with sagemaker --with slurm,", ["eks", "slurm"]),
        ("--with 'eks, slurm' --with eks", ["eks", "slurm"]),
    ],
)
def test_what_is_asked_for_comes_beside_what_is_there_and_stays(
    line: str, clusters: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    started: list[tuple[list[str], str | None]] = []

    def up(launcher: Launcher, progress: object) -> None:
        del progress
        assert isinstance(launcher.deployer, CdkDeployer)
        started.append(([*launcher.clusters], launcher.deployer.context.get("backends")))

    monkeypatch.setattr(Launcher, "up", up)
    for command in (f"local up {line}", "local up"):
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(command))
        assert not ended.value.code, capsys.readouterr().err
    backends = ",".join(["batch", "sagemaker", *(CLUSTERS[name] for name in clusters)]) if clusters else None
    assert started == [(clusters, backends)] * 2


def test_where_slurm_is_not_installed_one_sentence_says_how_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    monkeypatch.setattr(slurm, "_program", lambda name: None)
    said = refusal("local up --with sagemaker,slurm", capsys)
    assert "Slurm is not installed on this machine (munged, slurmctld, " in said
    assert "`apt-get install slurmctld slurmd slurm-client munge`, or leave slurm out of --with" in said
    assert not (tmp_path / "state").exists()


def test_a_scheduler_that_is_not_known_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--scheduler is 'pbs', allowed: " in refusal("agent --scheduler pbs", capsys)


def test_a_configuration_that_is_none_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "agent.json"
    config.write_text('{"queue": "orders"}')
    said = refusal(f"agent --scheduler slurm --config {config}", capsys)
    assert f"{config} is no configuration of an agent" in said
    assert "run_table" in said
