"""The operating system's user for the simulator: it runs users' own code, which must not have the runner's rights.

A job of one node may be in the instance's own network, where only the user distinguishes a container's
processes from the instance: the boot script blocks this user from the instance's metadata and the ECS agent
(stacks/components/instance_boot.sh). Another user can read neither the runner's environment nor its memory, and cannot
write its files. See docs/decisions/0012-the-simulator-is-another-user.md.
"""

from __future__ import annotations

import ctypes
import logging
import os
import pwd
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gaitway.runner.host.environment import without_credentials

logger = logging.getLogger(__name__)

VARIABLE = "GAITWAY_SIMULATOR_UID"
"""Set by the image (container/Dockerfile), which has a user and a home directory of this number."""
_OPEN = 0o1777
"""Every user may create files, and only the owner may remove them."""
_PR_SET_NO_NEW_PRIVS = 38
"""man7.org/linux/man-pages/man2/PR_SET_NO_NEW_PRIVS.2const.html"""


@dataclass(frozen=True)
class SimulatorUser:
    """The user, who is in no further groups.

    Args:
        uid: Number of the user, and of its group.
    """

    uid: int

    def environment(self, variables: Mapping[str, str], directory: Path) -> dict[str, str]:
        """Return the environment of the user's programs: without credentials, with the user's home and name.

        Args:
            variables: The runner's variables.
            directory: The home directory, if the user has none.
        """
        name, home = str(self.uid), str(directory)
        with suppress(KeyError):
            name, _, _, _, _, home, _ = pwd.getpwuid(self.uid)
        return without_credentials(variables) | {"HOME": home, "USER": name, "LOGNAME": name}

    def admit(self, directory: Path) -> None:
        """Let the user create files in a directory, and in those below it.

        On EFS this changes nothing: the access point maps all clients to the same user.
        """
        for _, _, _, descriptor in os.fwalk(directory, follow_symlinks=False):
            with suppress(PermissionError):
                os.fchmod(descriptor, _OPEN)


def simulator_user(variables: Mapping[str, str]) -> SimulatorUser | None:
    """Return the user for the simulator; None: the runner's own, since the runner may not change users.

    Args:
        variables: The job's environment.
    """
    uid = variables.get(VARIABLE)
    if uid is None:
        logger.info("the simulator runs as the runner's own user: run only environments that you trust")
        return None
    if os.geteuid() != 0:
        logger.warning(
            "the simulator runs as the runner's own user, %d, and not as %s (%s): only root may change it. Run only "
            "environments that you trust",
            *(os.geteuid(), uid, VARIABLE),
        )
        return None
    return SimulatorUser(int(uid))


def forbid_new_privileges() -> None:
    """Prevent every program that this thread starts from gaining rights, as with `sudo`. It cannot be undone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
