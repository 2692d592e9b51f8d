"""Where Warp keeps its compiled kernels, and that several processes can share them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from gaitway.simulators.isaaclab3.kernels import keep_kernels
from tests.unit.simulators.isaaclab3.real import environment, only_with_isaac_lab_3

KERNEL = """
import sys, warp as wp

@wp.kernel
def double(values: wp.array(dtype=float)):
    values[wp.tid()] *= 2.0

values = wp.ones(3, dtype=float, device="cpu")
wp.launch(double, dim=3, inputs=[values], device="cpu")
assert values.numpy().tolist() == [2.0] * 3
"""


def test_they_lie_beside_the_runs_of_the_deployment(tmp_path: Path) -> None:
    variables = {"GAITWAY_EFS_ROOT": str(tmp_path)}
    assert keep_kernels(variables) == tmp_path / "caches" / "warp"
    assert variables["WARP_CACHE_PATH"] == str(tmp_path / "caches" / "warp")


def test_where_somebody_has_decided_it_stays_so(tmp_path: Path) -> None:
    variables = {"GAITWAY_EFS_ROOT": str(tmp_path), "WARP_CACHE_PATH": "/elsewhere"}
    assert keep_kernels(variables) == Path("/elsewhere")
    assert list(tmp_path.iterdir()) == []


def test_without_a_shared_file_system_warp_decides(tmp_path: Path) -> None:
    assert keep_kernels({}) is None
    (tmp_path / "caches").write_text("a file where the folder should be")
    variables = {"GAITWAY_EFS_ROOT": str(tmp_path)}
    assert keep_kernels(variables) is None
    assert "WARP_CACHE_PATH" not in variables


def test_what_the_image_brings_is_added_and_what_is_there_stays(tmp_path: Path) -> None:
    """A job on another kind of machine has made the folder of the first module, with its own code only."""
    brought, shared = tmp_path / "brought" / "1.17.0", tmp_path / "caches" / "warp" / "1.17.0"
    for folder in (brought / "wp_old_1", brought / "wp_new_2", shared / "wp_old_1"):
        folder.mkdir(parents=True)
        (folder / "module.meta").write_text(folder.parent.parent.name)
    for name in ("wp_old_1", "wp_new_2"):
        (brought / name / "module.sm89.cubin").write_text("brought")
    variables = {"GAITWAY_EFS_ROOT": str(tmp_path), "GAITWAY_KERNELS": str(tmp_path / "brought")}
    keep_kernels(variables)
    found = {str(path.relative_to(shared)): path.read_text() for path in shared.glob("*/*")}
    assert found == {
        "wp_old_1/module.meta": "warp",
        "wp_old_1/module.sm89.cubin": "brought",
        "wp_new_2/module.meta": "brought",
        "wp_new_2/module.sm89.cubin": "brought",
    }


def test_an_image_that_brings_none_is_no_error(tmp_path: Path) -> None:
    variables = {"GAITWAY_EFS_ROOT": str(tmp_path), "GAITWAY_KERNELS": str(tmp_path / "none")}
    assert keep_kernels(variables) == tmp_path / "caches" / "warp"


@only_with_isaac_lab_3
def test_two_processes_that_compile_the_same_at_once_share_one(tmp_path: Path) -> None:
    """Warp itself: one of the two is kept, whole, and a third process compiles nothing."""
    (tmp_path / "cache" / "1.17.0" / "wp_other_p1_t2").mkdir(parents=True)
    program = tmp_path / "program.py"
    program.write_text(KERNEL)
    variables = environment({"WARP_CACHE_PATH": str(tmp_path / "cache")})

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, str(program)]
        return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    outputs = [process.communicate()[0] for process in [start(), start()]]
    assert all("(compiled)" in output or "(cached)" in output for output in outputs), outputs
    [version] = (tmp_path / "cache").iterdir()
    [module] = [path for path in version.iterdir() if path.name.startswith("wp_") and path.name != "wp_other_p1_t2"]
    assert {path.suffix for path in module.iterdir()} >= {".o", ".meta"}
    assert "(cached)" in start().communicate()[0]
