"""What can go wrong on a robot. Each message says what to do next."""


class DeviceError(Exception):
    """Base of all of them."""


class ConfigError(DeviceError):
    """The agent's configuration is not readable, or names what is not there."""


class OrderError(DeviceError):
    """An order is older than one that was carried out, is not readable, or cannot be meant for this robot."""


class DownloadError(DeviceError):
    """Files could not be fetched. Another try can help."""


class VersionError(DeviceError):
    """What was delivered is not what was signed, or it is not a policy. Only another delivery helps."""


class TrialError(DeviceError):
    """The policy does not act on this robot as it did where it was trained, or is too slow here."""


class StoreError(DeviceError):
    """The robot's disk does not do what is asked: it is full, or a version is not there."""


class NoPolicyError(DeviceError):
    """No policy was ever installed on this robot."""


class PolicyFaultError(DeviceError):
    """The policy in use gave an action that is NaN or infinite, or was given an observation of another size."""
