"""Container images of the embedded AWS: each is replaced by a program on this machine."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gaitway.installation import REPOSITORY_ROOT
from gaitway.libraries.simulators import SIMULATORS, Simulator
from gaitway.local import isaaclab3
from gaitway.local.extensions.batch.model import Container
from gaitway.local.runtime import image_name


@dataclass(frozen=True)
class Image:
    """The properties of a container image."""

    entrypoint: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    port_variables: tuple[str, ...] = ()
    """Environment variables that say on which port the main node of a multi-node parallel job listens."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Directories of the image, and those of this machine that stand for them."""


_INTERPRETER = str(Path(sys.executable).parent)
_PATH = f"{_INTERPRETER}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _stage(simulator: Simulator, **environment: str) -> Image:
    """Return what stands for a stage of container/Dockerfile: its ENTRYPOINT and ENV, with this repository's own files.

    PATH and LANG are those of its base image (github.com/docker-library/python). Not GAITWAY_SIMULATOR_UID: there is no
    such user here, and the developer's files may not be readable for another user.
    """
    return Image(
        entrypoint=[str(REPOSITORY_ROOT / "container" / "entrypoint.sh")],
        environment={
            "GAITWAY_PYTHON": sys.executable,
            "GAITWAY_SIMULATOR": SIMULATORS[simulator].module,
            "LANG": "C.UTF-8",
            "PATH": _PATH,
            "PYTHONPATH": str(REPOSITORY_ROOT),
            **environment,
        },
        port_variables=("GAITWAY_NODE_PORT",),
        files={"/opt/gaitway/src": REPOSITORY_ROOT},
    )


IMAGES = {
    image_name("embedded"): _stage("embedded"),
    # Its packages are found beside this interpreter's: gaitway/simulators/isaaclab3/installation.py.
    image_name("isaaclab-3"): _stage("isaaclab-3", WARP_CACHE_PATH=str(isaaclab3.KERNELS)),
    # An image without an entrypoint: the job's command runs as it is.
    "gaitway/shell:local": Image(entrypoint=[], environment={"PATH": _PATH}),
}


def image_of(container: Container) -> Image | None:
    """Find a container's image; a digest is ignored, because a program on this machine has none."""
    return IMAGES.get(container.image.partition("@")[0])
