"""The assets of the classic tasks, made from Newton's files; and what Isaac Lab itself does with what is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gaitway.local import isaaclab3
from gaitway.simulators.isaaclab3.assets.origins import NEWTON, NVIDIA
from tests.unit.simulators.isaaclab3.file_server import serving
from tests.unit.simulators.isaaclab3.real import only_with_isaac_lab_3, run

pytestmark = only_with_isaac_lab_3

MADE = "gaitway.simulators.isaaclab3.assets.made"
PULL = (Path(sys.executable).with_name("gaitway"), "assets", "pull")
CARTPOLE = "Isaac/IsaacLab/Robots/Classic/Cartpole/cartpole.usd"
GROUND = "Isaac/IsaacLab/Environments/Grid/default_ground_plane_checker_v1/default_ground_plane.usda"


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_same_newton_makes_the_same_bytes_and_leaves_the_rest(tmp_path: Path) -> None:
    (tmp_path / "mine.usd").write_text("#usda 1.0\n")
    for _ in range(2):
        made = run("-m", MADE, tmp_path, cwd=tmp_path)
        assert made.returncode == 0, made.stderr
        assert contents(tmp_path) == {**contents(isaaclab3.ASSETS), "mine.usd": b"#usda 1.0\n"}


def test_each_asset_has_its_source_and_its_licence_beside_it() -> None:
    sources = (isaaclab3.ASSETS / "SOURCES.md").read_text()
    files = set(contents(isaaclab3.ASSETS)) - {"SOURCES.md", "LICENSE-newton.md"}
    assert len(files) == 6
    assert all(f"- {name}: " in sources for name in files)
    assert "Apache License" in (isaaclab3.ASSETS / "LICENSE-newton.md").read_text()


def test_the_addresses_are_those_of_isaac_lab() -> None:
    packages = isaaclab3.packages()
    assert f'asset_root.default = "{NVIDIA}"' in (packages / "isaaclab/apps/isaaclab.python.kit").read_text()
    assert f'"{NEWTON}"' in (packages / "isaaclab/utils/assets.py").read_text()


def test_what_a_task_needs_is_fetched_with_what_it_refers_to_or_named(tmp_path: Path) -> None:
    """This server's cart-pole refers to a file with its links, as many of NVIDIA's do, and to one that is nowhere.

    One process for both, since it takes seconds to start. The second task's robot is nowhere.
    """
    bucket, root = tmp_path / "bucket", tmp_path / "root"
    for name, data in contents(isaaclab3.ASSETS).items():
        (bucket / name).parent.mkdir(parents=True, exist_ok=True)
        (bucket / name).write_bytes(data)
    whole = bucket / CARTPOLE
    (whole.parent / "parts").mkdir()
    whole.rename(whole.parent / "parts" / "links.usd")
    whole.write_text(
        '#usda 1.0\n(\n    defaultPrim = "cartpole"\n    subLayers = [@./parts/links.usd@, @./parts/none.usd@]\n)\n'
    )
    with serving(bucket) as server:
        options = ["--into", str(root), "--source", server.address]
        pulled = run(*PULL, "Isaac-Cartpole-Direct", "Isaac-Velocity-Flat-G1", *options, cwd=tmp_path)
    assert pulled.stdout.startswith("Isaac-Cartpole-Direct: 2 files named, 3 fetched"), pulled.stderr
    folder = str(Path(CARTPOLE).parent)
    assert set(contents(root)) == {CARTPOLE, f"{folder}/parts/links.usd", GROUND}
    assert f"{folder}/parts/none.usd" in server.asked

    last = pulled.stderr.splitlines()[-1]
    assert pulled.returncode == 1
    for part in ("Isaac-Velocity-Flat-G1", "Unitree/G1/g1_minimal.usd", "gaitway assets pull Isaac-Velocity-Flat-G1"):
        assert part in last
    assert "omni" not in last
    assert "puresky" not in last, "a sky is not needed"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("task", "joints"),
    [
        ("Isaac-Cartpole-Direct", {"slider_to_cart", "cart_to_pole"}),
        ("Isaac-Pendulum-MARL-Direct", {"slider_to_cart", "cart_to_pole", "pole_to_pendulum"}),
        ("Isaac-Ant-Direct", {"front_left_foot", "right_back_leg"}),
        ("Isaac-Humanoid-Direct", {"pelvis", "left_shin", "right_lower_arm", "lower_waist:0"}),
    ],
)
def test_isaac_lab_builds_its_environment_from_each(tmp_path: Path, task: str, joints: set[str]) -> None:
    """And the robot stands: none has fallen through the ground, or apart, after half a second."""
    built = run(
        *(Path(__file__).with_name("build_environment.py"), task),
        cwd=tmp_path,
    )
    assert built.returncode == 0, built.stderr
    found = built.stdout.splitlines()[-1].split()
    assert joints <= set(found[1:])
    assert float(found[0]) > 0.3
