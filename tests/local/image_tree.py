"""The files of the image `isaaclab-3`, made on this machine by the lines of its Dockerfile, in a virtual environment.

Left out, since they would change this machine: the packages of Debian, EFA, and the simulator's user. `/opt/gaitway` is
a folder, and Python that of GAITWAY_IMAGE_PYTHON, which must be 3.12. Kernels are compiled for one task and one
architecture instead of three.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gaitway.installation import REPOSITORY_ROOT
from gaitway.sources import IMAGE

DOCKERFILE = REPOSITORY_ROOT / "container" / "Dockerfile"
STAGE = "isaaclab-3"
ARCHITECTURE = 89
LEFT_OUT = ("apt-get ", "useradd ")
"""Commands that change a machine."""
_INSTALLS = "install_isaaclab3.sh"
_PINS = REPOSITORY_ROOT / "container" / "requirements-isaaclab3.txt"
_PRECOMPILES = re.compile(r"(isaaclab3\.precompile) \S+\s+(\S+).*", re.DOTALL)


def instructions(stage: str) -> Iterator[tuple[str, str]]:
    """Yield the instructions of a stage of the Dockerfile, each in one line."""
    text = DOCKERFILE.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    inside = False
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        name, _, rest = line.partition(" ")
        if name == "FROM":
            inside = rest.endswith(f" AS {stage}")
        elif inside and name:
            yield name, rest


@dataclass
class Tree:
    """The files, and what the image sets in a container's environment."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    """Commands that were not run."""

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.root / "usr" / "local" / "bin" / "python3"

    @property
    def folder(self) -> Path:
        """In the image: /opt/gaitway."""
        return self.root / "opt" / "gaitway"

    def placed(self, text: str) -> str:
        """Put what names a place of the image where it is here."""
        return text.replace("/opt/gaitway", str(self.folder)).replace("/usr/local/bin/python3", str(self.python))

    def run(self, command: str) -> None:
        """Run a command as the image's build does, with the shell that the Dockerfile names."""
        found = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env={"PATH": f"{self.python.parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(self.root)}
            | self.environment,
            capture_output=True,
            text=True,
        )
        assert found.returncode == 0, f"{command}\n{found.stdout[-3000:]}\n{found.stderr[-3000:]}"


def build(root: Path, python: str) -> Tree:
    """Carry out the stage. Packages that an earlier one has installed stay if the pins are the same.

    Args:
        root: Where to.
        python: The interpreter, Python 3.12.
    """
    tree = Tree(root)
    digest = hashlib.sha256(_PINS.read_bytes()).hexdigest()
    installed = root / "installed"
    is_current = installed.is_file() and installed.read_text() == digest
    if not is_current:
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run([python, "-m", "venv", str(tree.python.parents[1])], check=True)
    shutil.rmtree(tree.folder, ignore_errors=True)
    tree.folder.mkdir(parents=True)
    for name, rest in instructions(STAGE):
        text = tree.placed(rest)
        if name == "COPY":
            *sources, target = text.split()
            for source in sources:
                _copy(REPOSITORY_ROOT / source, Path(target), into=target.endswith("/"))
        elif name == "ENV":
            tree.environment |= dict(part.split("=", 1) for part in text.split())
        elif name == "RUN":
            if any(command in rest for command in LEFT_OUT):
                tree.left_out.append(rest)
            elif _INSTALLS not in rest:
                tree.run(_PRECOMPILES.sub(rf"\1 {ARCHITECTURE} \2", text))
            elif not is_current:
                tree.run(text)
                installed.write_text(digest)
    return tree


def _copy(source: Path, target: Path, *, into: bool) -> None:
    """Copy what .dockerignore leaves of a file or folder."""
    if source.is_dir():
        sent = [REPOSITORY_ROOT / path for path in IMAGE]
        for path in source.rglob("*"):
            if path.is_file() and any(path.is_relative_to(one) for one in sent) and path.parent.name != "__pycache__":
                copy = target / path.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)
        return
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target / source.name if into else target)
