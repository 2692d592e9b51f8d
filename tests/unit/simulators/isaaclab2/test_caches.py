"""Kit's caches lie on the volume that outlives the job."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaitway.simulators.isaaclab2.caches import cached_directories, keep_caches


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in {"HOME": "home", "ISAACSIM_ROOT_PATH": "isaac-sim", "GAITWAY_CACHE_ROOT": "volume"}.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    (tmp_path / "volume").mkdir()
    return tmp_path / "volume"


def test_what_is_cached_is_on_the_volume(volume: Path) -> None:
    keep_caches()
    for name, directory in cached_directories().items():
        (directory / "shader").write_text("compiled")
        assert (volume / name / "shader").read_text() == "compiled"


def test_a_second_job_finds_it(volume: Path) -> None:
    (volume / "ov").mkdir()
    (volume / "ov" / "shader").write_text("compiled")
    keep_caches()
    assert (cached_directories()["ov"] / "shader").read_text() == "compiled"


def test_what_the_image_brings_is_kept_unless_the_volume_has_something(volume: Path) -> None:
    kit, gl = cached_directories()["kit"], cached_directories()["gl"]
    for directory in (kit, gl):
        directory.mkdir(parents=True)
        (directory / "shipped").write_text("with the image")
    (volume / "gl").mkdir()
    (volume / "gl" / "shader").write_text("compiled")
    keep_caches()
    keep_caches()
    assert [path.name for path in kit.iterdir()] == ["shipped"]
    assert [path.name for path in gl.iterdir()] == ["shader"]


def test_without_a_volume_everything_stays(volume: Path) -> None:
    volume.rmdir()
    keep_caches()
    assert not any(directory.exists() for directory in cached_directories().values())


def test_a_link_that_the_image_has_made_leads_to_what_it_brings(volume: Path) -> None:
    """The simulator's user may not make one beside Isaac Sim itself."""
    kit = cached_directories()["kit"]
    brought = kit.with_name("cache.image")
    brought.mkdir(parents=True)
    (brought / "shipped").write_text("with the image")
    kit.symlink_to(volume / "kit")
    keep_caches()
    (kit / "shader").write_text("compiled")
    assert sorted(path.name for path in (volume / "kit").iterdir()) == ["shader", "shipped"]
