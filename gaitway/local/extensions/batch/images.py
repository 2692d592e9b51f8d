"""Container images of the embedded AWS: each stands for a program on this machine."""

import sys
from dataclasses import dataclass, field

from gaitway.local.runtime import REPOSITORY_ROOT


@dataclass(frozen=True)
class Image:
    """What a container image would bring."""

    entrypoint: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    port_variables: tuple[str, ...] = ()
    """Environment variables that say on which port the main node of a multi-node parallel job listens."""


IMAGES = {
    # The stage `embedded` of container/Dockerfile: its ENTRYPOINT and ENV, with this repository's own files.
    "gaitway/embedded:local": Image(
        entrypoint=[str(REPOSITORY_ROOT / "container" / "entrypoint.sh")],
        environment={
            "GAITWAY_PYTHON": sys.executable,
            "GAITWAY_SIMULATOR": "embedded",
            "PYTHONPATH": str(REPOSITORY_ROOT),
        },
        port_variables=("GAITWAY_NODE_PORT",),
    ),
    # An image without an entrypoint: the job's command runs as it is.
    "gaitway/shell:local": Image(entrypoint=[]),
}
