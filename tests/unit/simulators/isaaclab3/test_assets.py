"""Assets that are missing: fetched whole from a server of ours, which stands for NVIDIA's bucket, or named in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from gaitway.contracts.errors import PlatformError, StorageError
from gaitway.simulators.isaaclab3.assets import download
from gaitway.simulators.isaaclab3.assets.download import UnreachableError, fetch
from gaitway.simulators.isaaclab3.assets.found import Assets
from gaitway.simulators.isaaclab3.assets.origins import NEWTON, NVIDIA, Origin, origins, set_roots
from tests.unit.simulators.isaaclab3.file_server import FileServer, serving


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0.0)
    folder = tmp_path / "bucket"
    (folder / "Isaac" / "Robots").mkdir(parents=True)
    (folder / "Isaac" / "Robots" / "a robot.usd").write_text("#usda 1.0\n")
    with serving(folder) as served:
        yield served


ROBOT = "Isaac/Robots/a robot.usd"


def test_a_file_is_fetched_whole(server: FileServer, tmp_path: Path) -> None:
    path = tmp_path / "root" / ROBOT
    assert fetch(f"{server.address}/{ROBOT}", path)
    assert path.read_text() == "#usda 1.0\n"
    assert [file.name for file in path.parent.iterdir()] == ["a robot.usd"]


@pytest.mark.parametrize("code", [403, 404, 410])
def test_what_the_server_does_not_have_is_no_error(server: FileServer, tmp_path: Path, code: int) -> None:
    server.codes.append(code)
    assert not fetch(f"{server.address}/Isaac/none.usd", tmp_path / "none.usd")
    assert not (tmp_path / "none.usd").exists()


@pytest.mark.parametrize("codes", [[503], [500, 502], [429]])
def test_a_server_that_is_busy_is_asked_again(server: FileServer, tmp_path: Path, codes: list[int]) -> None:
    server.codes += codes
    assert fetch(f"{server.address}/{ROBOT}", tmp_path / "robot.usd")
    assert len(server.asked) == len(codes) + 1


def test_an_answer_that_breaks_off_leaves_no_half_file(server: FileServer, tmp_path: Path) -> None:
    server.short_answers = 1
    assert fetch(f"{server.address}/{ROBOT}", tmp_path / "robot.usd")
    assert len(server.asked) == 2
    server.short_answers = 3
    with pytest.raises(UnreachableError):
        fetch(f"{server.address}/{ROBOT}", tmp_path / "again.usd")
    assert not list(tmp_path.glob("*again*"))


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("http://127.0.0.1:1/a.usd", "refused"),
        ("http://no-such-host.invalid/a.usd", "no-such-host.invalid"),
        ("file:///etc/hostname", "http:// or https://"),
    ],
)
def test_a_server_that_cannot_be_reached_is_named(tmp_path: Path, address: str, named: str) -> None:
    with pytest.raises(UnreachableError, match=named):
        fetch(address, tmp_path / "a.usd")


def test_a_folder_that_takes_no_file_is_named(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="cannot be written"):
        fetch(f"{server.address}/{ROBOT}", tmp_path / "root" / "robot.usd")


def assets_of(server: FileServer, root: Path) -> Assets:
    return Assets([Origin(root, server.address)])


def test_a_file_is_fetched_on_first_use_only(server: FileServer, tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert assets_of(server, root).provide(str(root / ROBOT))
    assert assets_of(server, root).provide(str(root / ROBOT))
    assert server.asked == [ROBOT]


@pytest.mark.parametrize("path", ["/etc/gaitway/none.usd", "{root}/../outside.usd", "omniverse://host/a.usd"])
def test_what_is_not_below_the_root_is_not_fetched(server: FileServer, tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    assert not assets_of(server, root).provide(path.format(root=root))
    assert server.asked == []


def test_what_the_server_does_not_have_is_asked_for_once(server: FileServer, tmp_path: Path) -> None:
    root = tmp_path / "root"
    assets = assets_of(server, root)
    assert not assets.provide(str(root / "Isaac" / "none.mdl"))
    assert not assets.provide(str(root / "Isaac" / "none.mdl"))
    assert len(server.asked) == 1


def test_where_there_is_no_internet_only_one_request_waits_for_it(tmp_path: Path) -> None:
    assets = Assets([Origin(tmp_path, "http://127.0.0.1:1")])
    assert not any(assets.provide(str(tmp_path / f"{number}.usd")) for number in range(3))


def test_every_file_that_a_configuration_names_is_found(tmp_path: Path) -> None:
    config = SimpleNamespace(
        scene=SimpleNamespace(robot={"usd_path": f"{tmp_path}/Isaac/robot.usd"}, itself=None),
        nets=[(f"{tmp_path}/Isaac/net.pt",)],
        folder=str(tmp_path),
        other="/elsewhere/robot.usd",
        function=print,
        number=3,
    )
    config.scene.itself = config
    assets = Assets([Origin(tmp_path, None)])
    assert sorted(assets._named(config)) == [f"{tmp_path}/Isaac/net.pt", f"{tmp_path}/Isaac/robot.usd"]


def test_a_missing_file_that_code_names_is_explained(tmp_path: Path) -> None:
    assets = Assets([Origin(tmp_path, None)])
    with pytest.raises(PlatformError) as raised, assets.explained("Isaac-Mine"):
        raise FileNotFoundError(f"Unable to resolve the file: {tmp_path}/Isaac/ground.usd")
    for part in ("Isaac-Mine", "Isaac/ground.usd", str(tmp_path), "gaitway assets pull Isaac-Mine"):
        assert part in str(raised.value)


def test_a_missing_file_of_the_users_own_stays_what_it_is(tmp_path: Path) -> None:
    assets = Assets([Origin(tmp_path, None)])
    with pytest.raises(FileNotFoundError), assets.explained("Isaac-Mine"):
        raise FileNotFoundError("/opt/mine/robot.usd")


def test_the_root_is_the_one_that_is_named_or_that_of_all_jobs(tmp_path: Path) -> None:
    newton, isaac = origins({"GAITWAY_EFS_ROOT": "/mnt/efs"})
    assert (isaac.folder, isaac.address) == (Path("/mnt/efs/assets"), NVIDIA)
    assert (newton.folder, newton.address) == (Path("/mnt/efs/assets/newton-assets"), NEWTON)
    environment = {"ISAACSIM_ASSET_ROOT": str(tmp_path), "GAITWAY_ASSET_SOURCE": "http://mirror/isaac/"}
    newton, isaac = set_roots(environment)
    assert isaac == Origin(tmp_path, "http://mirror/isaac")
    assert newton.address == "http://mirror/isaac/newton-assets"
    assert environment["NEWTON_ASSET_DIR"] == str(tmp_path / "newton-assets")
    assert origins({"ISAACSIM_ASSET_ROOT": str(tmp_path), "GAITWAY_ASSET_SOURCE": ""})[1].address is None


@pytest.mark.parametrize(
    "environment", [{}, {"ISAACSIM_ASSET_ROOT": NVIDIA}, {"ISAACSIM_ASSET_ROOT": "omniverse://h/"}]
)
def test_a_root_that_is_no_folder_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(PlatformError, match="ISAACSIM_ASSET_ROOT"):
        origins(environment)
