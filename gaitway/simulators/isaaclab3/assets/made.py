"""Make the assets of the classic tasks from Newton's own files.

`python -m gaitway.simulators.isaaclab3.assets.made ROOT`, with Newton and USD on the path. NVIDIA's files are in a
bucket on the internet. Newton's wheel brings its own copies of the same robots, under a licence that allows this; they
differ from what Isaac Lab expects in what is mended here. The same input makes the same bytes. A file that ends in .usd
may be text: openusd.org/release/toolset.html#usdcat.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from pxr import Gf, Sdf, Usd, UsdGeom, UsdPhysics

SOURCES = "SOURCES.md"
"""Beside the assets: where each is from, and under which licence."""
LICENCE = "LICENSE-newton.md"


def make(root: Path) -> None:
    """Make the assets, whole or not at all; what else is below the root stays.

    Args:
        root: What ISAACSIM_ASSET_ROOT names.
    """
    for name, asset in _ASSETS.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{os.getpid()}-{path.name}")
        try:
            asset.write(part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    (root / SOURCES).write_text(_sources(), encoding="utf-8")
    shutil.copyfile(_licence(), root / LICENCE)


def is_made(root: Path) -> bool:
    """Return whether this Newton's assets are there."""
    sources = root / SOURCES
    return sources.is_file() and sources.read_text(encoding="utf-8") == _sources()


def _cartpole(path: Path) -> None:
    path.write_text(_cartpole_text(), encoding="utf-8")


def _cartpole_text() -> str:
    """Newton's copy of Isaac Lab's own cart-pole, whose default prim is misspelt."""
    return _newton("cartpole_single_pendulum.usda").read_text(encoding="utf-8").replace(
        'defaultPrim = "cartPole"', 'defaultPrim = "cartpole"'
    )  # fmt: skip


def _double_pendulum(path: Path) -> None:
    """Write the cart-pole with a second link, half as long and half as heavy, at the end of its pole."""
    layer = Sdf.Layer.CreateAnonymous(".usda")
    layer.ImportFromString(_cartpole_text())
    stage = Usd.Stage.Open(layer)
    link = UsdGeom.Xform.Define(stage, "/cartpole/pendulum")
    link.AddTranslateOp().Set(Gf.Vec3d(0.12, 0, 0.97))
    UsdPhysics.RigidBodyAPI.Apply(link.GetPrim())
    mass = UsdPhysics.MassAPI.Apply(link.GetPrim())
    mass.CreateMassAttr(0.5)
    mass.CreateCenterOfMassAttr(Gf.Vec3f(0, 0, 0.25))
    shape = UsdGeom.Cube.Define(stage, "/cartpole/pendulum/mesh_0")
    shape.CreateSizeAttr(1)
    shape.AddTranslateOp().Set(Gf.Vec3d(0, 0, 0.25))
    shape.AddScaleOp().Set(Gf.Vec3f(0.03, 0.05, 0.5))
    UsdPhysics.CollisionAPI.Apply(shape.GetPrim())
    joint = UsdPhysics.RevoluteJoint.Define(stage, "/cartpole/pole/pole_to_pendulum")
    joint.CreateAxisAttr("X")
    joint.CreateBody0Rel().SetTargets(["/cartpole/pole"])
    joint.CreateBody1Rel().SetTargets(["/cartpole/pendulum"])
    joint.CreateLocalPos0Attr(Gf.Vec3f(0, 0, 0.97))
    joint.CreateLocalPos1Attr(Gf.Vec3f(0, 0, 0))
    joint.CreateLocalRot0Attr(Gf.Quatf(1))
    joint.CreateLocalRot1Attr(Gf.Quatf(1))
    path.write_text(layer.ExportToString(), encoding="utf-8")


def _ant(path: Path) -> None:
    shutil.copyfile(_newton("ant.usda"), path)


_HUMANOID_JOINTS = {
    "abdomen_x": "pelvis",
    "right_knee": "right_shin",
    "left_knee": "left_shin",
    "right_elbow": "right_lower_arm",
    "left_elbow": "left_lower_arm",
}
"""Newton's names, and those that Isaac Lab's settings of the humanoid's actuators expect."""


def _humanoid(path: Path) -> None:
    """Write the humanoid with Isaac Lab's names, and without the groups that keep its feet from touching the ground."""
    layer = Sdf.Layer.CreateAnonymous(".usda")
    layer.ImportFromString(_newton("humanoid.usda").read_text(encoding="utf-8"))
    stage = Usd.Stage.Open(layer)
    groups = [prim.GetPath() for prim in stage.Traverse() if prim.IsA(UsdPhysics.CollisionGroup)]
    edit = Sdf.BatchNamespaceEdit()
    for group in groups:
        edit.Add(Sdf.NamespaceEdit.Remove(group))
    for old, new in _HUMANOID_JOINTS.items():
        edit.Add(f"/nv_humanoid/joints/{old}", f"/nv_humanoid/joints/{new}")
    if not groups or not layer.Apply(edit):
        raise ValueError(f"{_newton('humanoid.usda')} is not the file of the release that this was written for")
    path.write_text(layer.ExportToString(), encoding="utf-8")


def _crazyflie(path: Path) -> None:
    shutil.copyfile(_newton("crazyflie.usd"), path)


def _ground(path: Path) -> None:
    """Write a ground of ours: an endless collider, and a square of 100 m that is seen.

    `spawn_ground_plane` of isaaclab/sim/spawners/from_files/from_files.py says what it must have.
    """
    path.write_text(_GROUND, encoding="utf-8")


_GROUND = """#usda 1.0
(
    defaultPrim = "World"
    kilogramsPerUnit = 1
    metersPerUnit = 1
    upAxis = "Z"
)

def Xform "World"
{
    def Xform "Environment"
    {
        double3 xformOp:scale = (1, 1, 1)
        uniform token[] xformOpOrder = ["xformOp:scale"]

        def Mesh "Geometry"
        {
            int[] faceVertexCounts = [4]
            int[] faceVertexIndices = [0, 1, 2, 3]
            point3f[] points = [(-50, -50, 0), (50, -50, 0), (50, 50, 0), (-50, 50, 0)]
            color3f[] primvars:displayColor = [(0.35, 0.38, 0.42)]
            texCoord2f[] primvars:st = [(-25, -25), (25, -25), (25, 25), (-25, 25)] (
                interpolation = "faceVarying"
            )
            uniform token subdivisionScheme = "none"
        }
    }

    def Plane "CollisionPlane" (
        prepend apiSchemas = ["PhysicsCollisionAPI"]
    )
    {
        uniform token axis = "Z"
        token visibility = "invisible"
    }
}
"""


@dataclass(frozen=True)
class _Asset:
    write: Callable[[Path], None]
    source: str
    """For people, where it is from and what was changed."""


_ASSETS = {
    "Isaac/IsaacLab/Environments/Grid/default_ground_plane_checker_v1/default_ground_plane.usda": _Asset(
        _ground, "ours, Apache-2.0"
    ),
    "Isaac/IsaacLab/Robots/Classic/CartDoublePendulum/cart_double_pendulum.usd": _Asset(
        _double_pendulum, "cartpole_single_pendulum.usda with a second link of ours"
    ),
    "Isaac/IsaacLab/Robots/Classic/Cartpole/cartpole.usd": _Asset(
        _cartpole, "cartpole_single_pendulum.usda, its default prim's name corrected"
    ),
    "Isaac/Robots/Bitcraze/Crazyflie/cf2x.usd": _Asset(_crazyflie, "crazyflie.usd, unchanged"),
    "Isaac/Robots/IsaacSim/Ant/ant_instanceable.usd": _Asset(_ant, "ant.usda, unchanged"),
    "Isaac/Robots/IsaacSim/Humanoid/humanoid_instanceable.usd": _Asset(
        _humanoid, "humanoid.usda, five joints renamed, without collision groups"
    ),
}
"""By the path at which Isaac Lab 3.0 looks for each."""


def _newton(name: str) -> Path:
    spec = importlib.util.find_spec("newton")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("newton is not on the path")
    return Path(spec.origin).parent / "examples" / "assets" / name


def _licence() -> Path:
    [path] = [file for file in distribution("newton").files or () if file.name == "LICENSE.md"]
    return Path(str(path.locate()))


def _sources() -> str:
    version = distribution("newton").version
    lines = [
        "# Where these files are from",
        "",
        f"Made by `gaitway.simulators.isaaclab3.assets.made` from Newton {version} (pypi.org/project/newton), "
        f"`newton/examples/assets`, licence Apache-2.0: {LICENCE}. They are not NVIDIA's files of the same names: a "
        "policy trained on one may behave differently on the other.",
        "",
        *(f"- {name}: {asset.source}" for name, asset in _ASSETS.items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    make(Path(sys.argv[1]))
