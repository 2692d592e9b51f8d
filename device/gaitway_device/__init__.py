"""What a robot needs of Gaitway: it installs policies, keeps those that work, and runs one of them.

    from gaitway_device import PolicyRunner

    policy = PolicyRunner("/var/lib/gaitway")
    while True:
        robot.apply(policy.act(robot.observe()))

A version of a policy is a directory (version.py). The store (store.py) has the versions of this robot, of which one is
in use; install.py puts another one in its place, after its signature was verified and it was tried here; runner.py runs
what is in use, and changes to the new version between two control steps.
"""

from gaitway_device.errors import (
    ConfigError,
    DeviceError,
    DownloadError,
    NoPolicyError,
    OrderError,
    PolicyFaultError,
    StoreError,
    TrialError,
    VersionError,
)
from gaitway_device.runner import PolicyRunner

__all__ = [
    "ConfigError",
    "DeviceError",
    "DownloadError",
    "NoPolicyError",
    "OrderError",
    "PolicyFaultError",
    "PolicyRunner",
    "StoreError",
    "TrialError",
    "VersionError",
]
