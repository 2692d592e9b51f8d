"""What simulators print when they fail is recognised, and nothing else is."""

import pytest

from gaitway.contracts.errors import NotANumberError, PlatformError, RequestError, SimulationError, StorageError
from gaitway.runner.known_failures import KNOWN_FAILURES, recognise

OUT_OF_MEMORY = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of"


@pytest.mark.parametrize(
    ("line", "error", "word"),
    [
        (OUT_OF_MEMORY, SimulationError, "numEnvs"),
        ("RuntimeError: CUDA error: out of memory", SimulationError, "numEnvs"),
        ("  traceback : Signal 9 (SIGKILL) received by PID 4711", SimulationError, "jobMemoryMib"),
        ("OSError: [Errno 28] No space left on device", StorageError, "full"),
        ("OSError: [Errno 122] Disk quota exceeded: 'logs/model_4.pt'", StorageError, "full"),
        ("OSError: [Errno 116] Stale file handle", StorageError, "does not answer"),
        ("RuntimeError: DataLoader worker is killed by signal: Bus error. shared memory", SimulationError, "shared"),
        (
            "gymnasium.error.NameNotFound: Environment `Isaac-Foo` doesn't exist. Did you mean: `Isaac-Ant`?",
            RequestError,
            "trainingConfig.task",
        ),
        ("ModuleNotFoundError: No module named 'my_robot'", RequestError, "custom environment"),
        ("ImportError: cannot import name 'X' from 'my_robot.tasks'", RequestError, "custom environment"),
        (
            "FileNotFoundError: USD file not found at path: 'https://server/Isaac/Robots/Foo/foo.usd'",
            SimulationError,
            "asset",
        ),
        ("socket.gaierror: [Errno -3] Temporary failure in name resolution", SimulationError, "network"),
        ("RuntimeError: The NVIDIA driver on your system is too old (found version 11040).", PlatformError, "driver"),
        ("RuntimeError: No CUDA GPUs are available", PlatformError, "no GPU"),
        ("You must accept the NVIDIA Omniverse EULA: set ACCEPT_EULA=Y", PlatformError, "acceptNvidiaEula"),
        ("RuntimeError: [../third_party/gloo] Connection closed by peer [10.0.0.7]:3127", SimulationError, "each node"),
        ("ValueError: Expected parameter loc (Tensor of shape (8, 1)) but found invalid values:", NotANumberError, "n"),
    ],
)
def test_a_known_failure_is_recognised_with_what_to_do(line: str, error: type[Exception], word: str) -> None:
    known = recognise(["Traceback (most recent call last):", line, "shutting down"])

    assert known is not None
    assert known.error is error
    assert word in known.explanation


@pytest.mark.parametrize(
    "line",
    [
        "Learning iteration 3/80",
        "[INFO]: Completed setting up the environment...",
        "[Warning] [omni.usd] deprecated asset path",
        "RuntimeError: mat1 and mat2 shapes cannot be multiplied",
        "KeyError: 'policy'",
    ],
)
def test_other_lines_are_no_known_failure(line: str) -> None:
    assert recognise([line]) is None


def test_the_cause_counts_and_not_what_follows_from_it() -> None:
    known = recognise(["Connection closed by peer", "torch.OutOfMemoryError: CUDA out of memory."])

    assert known is not None
    assert "numEnvs" in known.explanation


def test_each_explanation_is_one_clause_that_another_may_follow() -> None:
    for known in KNOWN_FAILURES:
        assert not known.explanation.endswith(".")
