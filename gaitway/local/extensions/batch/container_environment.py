"""The environment of a container: exactly what its image, its job definition, Docker, Batch and ECS set."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from gaitway.local.extensions.batch.images import Image
from gaitway.local.guard import MARKER

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Docker's, where an image has none."""


def container_environment(
    image: Image, defined: Mapping[str, str], given: Mapping[str, str], *, home: Path, endpoint_url: str
) -> dict[str, str]:
    """Build the environment of a container's process.

    Two variables do not exist on AWS: the address of the emulator, in place of the internet's name service,
    and the mark by which the emulator finds its own processes.

    Args:
        image: The image, which may have its own variables.
        defined: What the job definition and the submission set.
        given: What Batch and ECS set, which override all others.
        home: The home directory of the image's user.
        endpoint_url: The emulator's.
    """
    return {
        # docs.docker.com/reference/cli/docker/container/run#env; with the host's network, the name is the host's, too.
        "HOME": str(home),
        "HOSTNAME": socket.gethostname(),
        "PATH": _DEFAULT_PATH,
        **image.environment,
        **defined,
        **given,
        "AWS_ENDPOINT_URL": endpoint_url,
        MARKER: os.environ.get(MARKER, ""),
    }
