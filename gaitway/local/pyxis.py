"""A stand-in for Pyxis: an `srun` that takes the options for a container, in which a program of this machine runs.

Pyxis is compiled into Slurm, and starts containers of Enroot (github.com/NVIDIA/pyxis); here is no container at all. As
there, what the image sets in the environment comes before what the job has, and an image that does not exist fails the
step. The image's directories are replaced by this machine's, and mounts are left out: the paths are the same.

    python pyxis.py IMAGES SRUN OPTION... COMMAND...

It is a script of its own, which imports nothing of this package, since each step of a job starts it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

_IMAGE, _MOUNTS = "--container-image=", "--container-mounts="


def main(arguments: Sequence[str]) -> str | None:
    """Become srun; return why not."""
    images, srun, *rest = arguments
    options = list(takewhile(lambda argument: argument.startswith("--"), rest))
    command = rest[len(options) :]
    asked = [option for option in options if option.startswith("--container-")]
    unknown = [option for option in asked if not option.startswith((_IMAGE, _MOUNTS))]
    if unknown:
        return f"pyxis: the stand-in does not know {', '.join(unknown)}"
    environment = dict(os.environ)
    for option in asked:
        if option.startswith(_IMAGE):
            name = option.removeprefix(_IMAGE)
            image = json.loads(Path(images).read_text()).get(name)
            if image is None:
                return f"pyxis: failed to import docker image {name}: there is no such image on this machine"
            environment |= image["environment"]
            for inside, here in image["files"].items():
                command = [part.replace(inside, here, 1) if part.startswith(inside) else part for part in command]
    os.execve(srun, [srun, *(option for option in options if option not in asked), *command], environment)  # noqa: S606 - no shell is needed
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
