"""Kernels for GPUs, compiled on a machine without one: those that a GPU's job would ask for. By Warp itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gaitway.simulators.isaaclab3 import precompile
from tests.unit.simulators.isaaclab3.real import only_with_isaac_lab_3, run

PROGRAM = """
import warp
from gaitway.simulators.isaaclab3.precompile import Compiler

compiler = Compiler([89])

@warp.kernel
def first(values: warp.array(dtype=float)):
    values[warp.tid()] *= 2.0

values = warp.ones(64, dtype=float, device="cpu")
module = first.module

def expected(block_dim):
    return module.get_module_identifier(block_dim)

warp.launch(first, dim=64, inputs=[values], device="cpu")
early = expected(256)
warp.launch_tiled(first, dim=1, inputs=[values], block_dim=64, device="cpu")
tiled = expected(64)

@warp.kernel
def second(values: warp.array(dtype=float)):
    values[warp.tid()] += 1.0

warp.launch(second, dim=64, inputs=[values], device="cpu")
late = expected(256)
assert len({early, tiled, late}) == 3
assert compiler.compiled == {early, tiled, late}, (compiler.compiled, compiler.failed)
assert module.options["block_dim"] == 256
print(*sorted(compiler.compiled))
"""


@only_with_isaac_lab_3
def test_a_module_is_compiled_in_each_state_and_for_each_size_of_block_that_is_launched(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    cache = tmp_path / "cache"
    ended = run(program, cwd=tmp_path, WARP_CACHE_PATH=str(cache))
    assert ended.returncode == 0, ended.stderr
    names = ended.stdout.splitlines()[-1].split()
    # Machine code of that architecture: ELF, and not PTX.
    files = {path.name: path.read_bytes()[:4] for path in cache.rglob("*.cubin")}
    assert files == {f"{name}.sm89.cubin": b"\x7fELF" for name in names}


@only_with_isaac_lab_3
def test_a_gpus_job_looks_for_what_is_compiled_whatever_leapp_asks_for(tmp_path: Path) -> None:
    """Warp with a driver as new as its CUDA; a device is asked only for how it would compile."""
    leapp = tmp_path / "leapp" / "leapp_graph" / "datatypes" / "warp"
    leapp.mkdir(parents=True)
    # As in leapp 0.7.2; where it is installed, this one comes first.
    lines = ("import warp", "warp.config.cuda_output = 'ptx'", "warp.config.ptx_target_arch = 75")
    (leapp / "__init__.py").write_text("\n".join(lines))
    program = """
import types, warp
from gaitway.simulators.isaaclab3.kernels import ask_for_cubin
warp.init()
runtime = types.SimpleNamespace(driver_version=(13, 0), toolkit_version=(12, 9))
device = types.SimpleNamespace(is_cpu=False, is_cuda=True, is_cubin_supported=True, runtime=runtime)
asked = lambda: warp._src.context.Device.get_cuda_output_format(device)
before = asked()
ask_for_cubin()
import leapp.leapp_graph.datatypes.warp
print(before, asked(), warp.config.ptx_target_arch)
"""
    (tmp_path / "program.py").write_text(program)
    ended = run(tmp_path / "program.py", cwd=tmp_path, WARP_CACHE_PATH=str(tmp_path / "cache"))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "ptx cubin 75"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """In the place of Python: it says what it was asked for, and compiles a kernel."""
    found = tmp_path / "python"
    monkeypatch.setattr(sys, "executable", str(found))
    monkeypatch.setenv("WARP_CACHE_PATH", str(tmp_path / "cache"))
    for module, files in {"wp_gpu_1": ("a.sm89.cubin", "a.meta", "a.o", "a.cu"), "wp_cpu_1": ("b.o", "b.meta")}.items():
        (tmp_path / "cache" / "1.17.0" / module).mkdir(parents=True)
        for name in files:
            (tmp_path / "cache" / "1.17.0" / module / name).touch()
    return found


def written(program: Path, *lines: str) -> None:
    program.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    program.chmod(0o755)


def test_each_task_has_a_process_of_its_own_and_what_only_this_cpu_can_run_is_removed(
    program: Path, tmp_path: Path
) -> None:
    written(program, f'echo "$3 $4 $5" >> {tmp_path}/asked')
    assert precompile.main(["86,89", "Isaac-One", "Isaac-Two"]) == 0
    assert (tmp_path / "asked").read_text() == "--here 86,89 Isaac-One\n--here 86,89 Isaac-Two\n"
    assert sorted(path.name for path in (tmp_path / "cache").rglob("*.*") if path.is_file()) == [
        "a.meta",
        "a.sm89.cubin",
    ]
    assert not (tmp_path / "cache" / "1.17.0" / "wp_cpu_1").exists()


def test_a_task_that_fails_ends_the_build(program: Path) -> None:
    written(program, "exit 3")
    assert precompile.main(["89", "Isaac-One", "Isaac-Two"]) == 3


def test_what_takes_too_long_is_left_to_the_first_job(
    program: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(program, "exec sleep 60")
    monkeypatch.setattr(precompile, "LIMIT_SECONDS", 0.2)
    assert precompile.main(["89", "Isaac-One", "Isaac-Two"]) == 0
    said = capsys.readouterr().out
    assert "Isaac-One is left to the first job" in said
    assert "Isaac-Two is left to the first job" in said
