"""Compile the kernels of tasks for GPUs, on a machine without one: the image's build does so.

`WARP_CACHE_PATH=FOLDER python -m gaitway.simulators.isaaclab3.precompile 86,89,90 TASK...`. Each task is trained for an
iteration on the CPU, and whenever Warp loads a module for it, that module is compiled for the GPUs, too: in the state
that it is in then, since a GPU's job loads it in the same one, and for the block size that the launch asks for, which
is 1 on a CPU whatever was asked. The name of what Warp keeps is a digest of both, and of nothing of the machine
(warp/_src/context.py, `ModuleHasher`). What a task launches on GPUs only is compiled by the first job, which keeps it
(kernels.py).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gaitway.simulators.common.exits import end
from gaitway.simulators.isaaclab3.installation import enter_isaac_lab
from gaitway.simulators.isaaclab3.kernels import CACHE_PATH, CUBIN

NUM_ENVS = 16
LIMIT_SECONDS = 1200
"""For all tasks together: the build of an image has 50 minutes."""
HERE = "--here"
"""In front of the architectures and one task: in this process."""
BLOCK = "block_dim"
DEFAULT_BLOCK = 256
"""Of `warp.launch`."""


class Compiler:
    """Compiles what Warp loads for the CPU for other architectures as well."""

    def __init__(self, architectures: Sequence[int]) -> None:
        """Watch Warp from now on.

        Args:
            architectures: Compute capabilities, without the dot.
        """
        import warp

        self.compiled: set[str] = set()
        self.failed: dict[str, str] = {}
        self._warp: Any = warp
        self._architectures = list(architectures)
        self._asked: list[int] = []
        context: Any = warp._src.context
        for name in ("launch", "launch_tiled"):
            watched = self._watched(getattr(context, name))
            setattr(context, name, watched)
            setattr(warp, name, watched)
        load = context.Module.load

        def load_and_compile(module: Any, device: Any, block_dim: int | None = None, *rest: Any, **options: Any) -> Any:  # noqa: ANN401
            loaded = load(module, device, block_dim, *rest, **options)
            self._compile(module, self._asked[0] if self._asked else block_dim)
            return loaded

        context.Module.load = load_and_compile

    @property
    def asked_for(self) -> str | None:
        """The kind of code that Warp would load on a GPU; None if it chose by the driver."""
        found: str | None = self._warp.config.cuda_output
        return found

    def _watched(self, launch: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            # A tiled launch calls the other one, with the block of one thread that a CPU has.
            self._asked.append(options.get(BLOCK, DEFAULT_BLOCK))
            try:
                return launch(*arguments, **options)
            finally:
                self._asked.pop()

        return watched

    def _compile(self, module: Any, block_dim: int | None) -> None:  # noqa: ANN401
        block_dim = block_dim or module.options[BLOCK]
        name = module.get_module_identifier(block_dim)
        if name in self.compiled or name in self.failed:
            return
        own = module.options[BLOCK]
        module.options[BLOCK] = block_dim
        try:
            # CUBIN, for exactly these: kernels.py has Warp look for it.
            self._warp.compile_aot_module(module, arch=self._architectures, use_ptx=False)
            self.compiled.add(name)
        except Exception as error:
            self.failed[name] = str(error)
        finally:
            module.options[BLOCK] = own


def precompile(task: str, architectures: Sequence[int]) -> int:
    """Train a task for an iteration, and compile its kernels; the process should end afterwards.

    Args:
        task: Its name in Isaac Lab 3.0.
        architectures: Compute capabilities, without the dot.

    Returns:
        The exit code.
    """
    from gaitway.simulators.isaaclab3.__main__ import main as simulate

    began = time.monotonic()
    enter_isaac_lab()
    compiler = Compiler(architectures)
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        job = Path("simulation.json")
        job.write_text(json.dumps({"training": {"task": task, "numEnvs": NUM_ENVS, "maxIterations": 1}}))
        code = simulate([str(job)])
        os.chdir("/")
    for name, error in compiler.failed.items():
        sys.stdout.write(f"{name} is left to the first job: {error}\n")
    if not code and compiler.asked_for != CUBIN:
        sys.stdout.write(f"a job would ask for {compiler.asked_for}, and not for what is compiled here\n")
        return 1
    seconds = time.monotonic() - began
    sys.stdout.write(f"{task}: {len(compiler.compiled)} modules for {architectures}, {seconds:.0f} s\n")
    return code


def main(arguments: Sequence[str]) -> int:
    """Compile the kernels of each task in a process of its own, within a limit; return the exit code."""
    if arguments[0] == HERE:
        _, architectures, task = arguments
        return precompile(task, [int(number) for number in architectures.split(",")])
    architectures, *tasks = arguments
    ends_at = time.monotonic() + LIMIT_SECONDS
    for task in tasks:
        command = [sys.executable, "-m", __spec__.name, HERE, architectures, task]
        try:
            code = subprocess.run(command, timeout=max(0.0, ends_at - time.monotonic())).returncode
        except subprocess.TimeoutExpired:
            sys.stdout.write(f"the rest of {task} is left to the first job, after {LIMIT_SECONDS} s\n")
            continue
        if code:
            return code
    _keep_only_gpus(Path(os.environ[CACHE_PATH]))
    return 0


def _keep_only_gpus(folder: Path) -> None:
    """Remove what was compiled for this machine's CPU, and the sources, which Warp does not read."""
    for module in folder.glob("*/*"):
        if not any(module.glob("*.cubin")):
            shutil.rmtree(module)
            continue
        for file in module.iterdir():
            if file.suffix not in (".cubin", ".meta"):
                file.unlink()


if __name__ == "__main__":
    # The end of an interpreter that has loaded Warp takes four seconds.
    end(main(sys.argv[1:]))
