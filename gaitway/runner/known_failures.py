"""Known failures of simulators, recognised by their output, with their cause and what to do next.

The first entry that matches anywhere in the end of the output decides, so more specific entries come first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from gaitway.contracts.errors import (
    GaitwayError,
    NotANumberError,
    PlatformError,
    RequestError,
    SimulationError,
    StorageError,
)


@dataclass(frozen=True)
class KnownFailure:
    """A failure that has been seen before."""

    pattern: re.Pattern[str]
    """Searched for in each line of output."""
    error: type[GaitwayError]
    """Whether the same run, tried again, can succeed."""
    explanation: str
    """Cause and next step."""


def _known(pattern: str, error: type[GaitwayError], explanation: str) -> KnownFailure:
    return KnownFailure(re.compile(pattern, re.IGNORECASE), error, explanation)


KNOWN_FAILURES = (
    _known(
        r"EULA.*(not|must be|has to be) accept|accept.*(the )?(EULA|licen[cs]e)|ACCEPT_EULA|OMNI_KIT_ACCEPT_EULA",
        PlatformError,
        "NVIDIA's licence for Isaac Sim is not accepted in this image: deploy with acceptNvidiaEula=true",
    ),
    _known(
        r"driver version is insufficient for CUDA runtime|NVIDIA driver on your system is too old"
        r"|unsupported display driver|driver version.*(is lower|below).*(minimum|required)"
        r"|CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        PlatformError,
        "the GPU driver of the machine is too old for this image: let the instances start from a newer machine "
        "image, or take an image that this driver supports",
    ),
    _known(
        r"No CUDA GPUs are available|no CUDA-capable device is detected|Found no NVIDIA driver"
        r"|Failed to create any GPU devices|VkResult: ERROR_INCOMPATIBLE_DRIVER",
        PlatformError,
        "the simulator finds no GPU: check that the job requests one (jobGpus), and the machine's driver",
    ),
    _known(
        r"CUDA (error: )?out of memory|CUDA_ERROR_OUT_OF_MEMORY|torch\.(cuda\.)?OutOfMemoryError"
        r"|PxgCudaDeviceMemoryAllocator.*fail|PhysX.*out of (GPU )?memory|VK_ERROR_OUT_OF_DEVICE_MEMORY",
        SimulationError,
        "the GPU ran out of memory: use fewer environments (numEnvs), or a GPU with more memory",
    ),
    _known(
        r"(signal 9|SIGKILL).*received by PID|exitcode\s*:\s*-9\b|\bOOM[- ]kill|^MemoryError"
        r"|Cannot allocate memory|DefaultCPUAllocator: can't allocate memory",
        SimulationError,
        "the machine ran out of memory: use fewer environments (numEnvs), or deploy with more jobMemoryMib",
    ),
    _known(
        r"bus error.*shared memory|insufficient shared memory",
        SimulationError,
        "the shared memory of the machine is full: use fewer environments (numEnvs) or processes (gpusPerNode)",
    ),
    _known(
        r"No space left on device|Disk quota exceeded|File too large|Read-only file system|Stale (NFS )?file handle"
        r"|OSError: \[Errno 5\] Input/output error",
        StorageError,
        "a disk or file system is full, or does not answer: make room there, save less (no video, fewer checkpoints), "
        "or deploy with more storage",
    ),
    _known(
        r"gymnasium\.error\.(NameNotFound|NamespaceNotFound|VersionNotFound|UnregisteredEnv|DeprecatedEnv)"
        r"|Environment `?[\w./-]+`? (doesn't exist|not found|is not registered)|is not registered in gym",
        RequestError,
        "the task is not registered: check its name (trainingConfig.task), and that the custom environment that "
        "registers it is given",
    ),
    _known(
        r"ModuleNotFoundError: |ImportError: ",
        RequestError,
        "a package cannot be imported: check what the custom environment needs, and that its archive holds it",
    ),
    _known(
        r"FileNotFoundError: .*\.(usda?|usdc|usdz|urdf|xml|mjcf|obj|stl|dae)\b"
        r"|(USD|asset).*(not found|does not exist|could not be (found|opened)|cannot be opened)"
        r"|Failed to open (layer|stage) @|Could not open asset @",
        SimulationError,
        "an asset of the task is missing: check its path, and that the machine reaches the server that holds it",
    ),
    _known(
        r"(Temporary failure in name resolution|Could not resolve host|Name or service not known"
        r"|Network is unreachable|Connection timed out)"
        r"|Unable to (find|reach).*(Nucleus|assets? (root|server))|Could not find (Isaac Sim )?assets? (folder|root)",
        SimulationError,
        "the machine does not reach a server that the task needs, most often that of NVIDIA's assets: check the "
        "network's route to the internet",
    ),
    _known(
        r"NCCL error|ncclSystemError|ncclInternalError|ncclRemoteError|ncclUnhandledCudaError"
        r"|Watchdog caught collective operation timeout|Connection closed by peer|Connection reset by peer",
        SimulationError,
        "the processes of the training lost each other: one of them ended, or the network between them failed. Look at "
        "the log of each node for the first error",
    ),
    _known(
        r"ValueError: .*found invalid values:|ValueError: .*\bNaN\b|RuntimeError: .*returned nan values"
        r"|RuntimeError: normal expects all elements of std >= 0",
        NotANumberError,
        "the training diverged: a value became NaN or infinite",
    ),
)


def recognise(lines: Iterable[str]) -> KnownFailure | None:
    """Find the known failure in some lines of output; None if there is none."""
    text = list(lines)
    return next((known for known in KNOWN_FAILURES if any(known.pattern.search(line) for line in text)), None)
