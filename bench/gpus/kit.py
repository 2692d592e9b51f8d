"""Pack what `python -m bench.gpus` needs, for a GPU machine without a network: `python -m bench.gpus.kit DIRECTORY`.

It leaves `kit.tar.xz.00`, `.01`, ... of at most --part-mib each. There, beside a Python of the same version with torch
(CUDA), `cat kit.tar.xz.* | tar xJ -C /tmp` makes /tmp/site, for PYTHONPATH. Left out are torch with its own
dependencies, and what only other programs than a simulation and its runner use.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from gaitway.installation import REPOSITORY_ROOT

PINS = ("container/requirements-isaaclab3.txt", "requirements.txt", "constraints.txt")
"""The first that names a package counts."""
NEEDED_BESIDE_THE_IMAGE = (
    "ministack", "hypercorn", "h11", "h2", "hpack", "hyperframe", "priority", "wsproto",
    "defusedxml", "jsonata-python", "graphql-core", "tenacity", "nvidia-ml-py",
)  # fmt: skip
"""The embedded AWS, and what samples GPUs, whose name begins as those of torch's own libraries do."""
BESIDE_TORCH = ("torch", "triton", "nvidia-", "cuda-", "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "fsspec")
"""Beginnings of names of what comes with torch."""
_LEFT_OUT = ("**/tests", "warp/examples", "OpenGL/DLLS")
_PLATFORMS = (*(f"manylinux_2_{minor}_x86_64" for minor in range(39, 4, -1)), "manylinux2014_x86_64")
_WITHOUT_WHEEL = ("antlr4-python3-runtime", "gym")
"""Pure Python that PyPI has as source only."""


def pins() -> Iterator[str]:
    """Yield the pins of what is packed, without hashes.

    Raises:
        ValueError: A package is pinned nowhere.
    """
    image, *others = ({one.name.lower(): one for one in _read(REPOSITORY_ROOT / name)} for name in PINS)
    wanted = [name for name in image if not name.startswith(BESIDE_TORCH) or name in NEEDED_BESIDE_THE_IMAGE]
    for name in dict.fromkeys((*wanted, *NEEDED_BESIDE_THE_IMAGE)):
        found = next((pinned[name] for pinned in (image, *others) if name in pinned), None)
        if found is None:
            raise ValueError(f"{name} is pinned neither in {' nor in '.join(PINS)}")
        yield f"{found.name}{found.specifier}"


def _read(path: Path) -> Iterator[Requirement]:
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.split("#")[0].split("--hash")[0].rstrip("\\ ").strip()
        if text and not text.startswith("-"):
            yield Requirement(text)


def main(arguments: list[str] | None = None) -> int:
    """Download, unpack and pack again; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpus.kit", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--python", default="3.12", help="of the other machine")
    parser.add_argument("--part-mib", type=int, default=1024)
    options = parser.parse_args(arguments)
    site = options.directory / "site"
    shutil.rmtree(site, ignore_errors=True)
    listed = options.directory / "pins.txt"
    options.directory.mkdir(parents=True, exist_ok=True)
    listed.write_text("\n".join(pins()) + "\n", encoding="utf-8")
    pip = (sys.executable, "-m", "pip")
    built = [pin for pin in pins() if pin.startswith(_WITHOUT_WHEEL)]
    wheels = options.directory / "wheels"
    subprocess.run([*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), *built], check=True)
    chosen = ["--no-deps", "--only-binary=:all:", "--python-version", options.python, "--implementation", "cp"]
    chosen += [word for name in _PLATFORMS for word in ("--platform", name)]
    placed = [
        "--ignore-requires-python",
        "--no-compile",
        "--target",
        str(site),
        "--find-links",
        str(wheels),
        "--requirement",
        str(listed),
    ]
    subprocess.run([*pip, "install", "--quiet", *chosen, *placed], check=True)
    for pattern in _LEFT_OUT:
        for path in site.glob(pattern):
            shutil.rmtree(path)
    pack = f"tar c site | xz -T0 -2 | split -b {options.part_mib}M -d - kit.tar.xz."
    subprocess.run(["bash", "-o", "pipefail", "-c", pack], cwd=options.directory, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
