"""NVML, as far as `gaitway.runner.reporting.gpus` uses it, of a machine with two GPUs of which one is busy."""

# ruff: noqa: N802 - names are NVML's

from types import SimpleNamespace


class NVMLError(Exception):
    """As the library's."""


def nvmlInit() -> None:
    pass


def nvmlDeviceGetCount() -> int:
    return 2


def nvmlDeviceGetHandleByIndex(index: int) -> int:
    return index


def nvmlDeviceGetUUID(handle: int) -> str:
    return f"GPU-{handle}"


def nvmlDeviceGetMemoryInfo(handle: int) -> SimpleNamespace:
    return SimpleNamespace(used=(handle + 1) * 1024**3, total=24 * 1024**3)


def nvmlDeviceGetUtilizationRates(handle: int) -> SimpleNamespace:
    return SimpleNamespace(gpu=90 * handle)


def nvmlDeviceGetPowerUsage(handle: int) -> int:
    return 70_000 + handle
