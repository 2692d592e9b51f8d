"""What holds for every test."""

import os
import signal

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests import shuffled

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts the tests in the background leaves this to all processes under it: none would hear Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


# No test waits for a minute, which is the shortest timeout of a job on AWS.
os.environ["GAITWAY_LOCAL_SHORT_TIMEOUTS"] = "1"
# The command line's embedded AWS is that of the tests, whose simulator is the cart-pole in torch, installed or not what
# is slower.
os.environ["GAITWAY_LOCAL_SIMULATORS"] = "embedded"


class _Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """The tests of a file run in one process, and those of the stacks, too: they share what is synthesised."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/infra" if nodeid.startswith("tests/infra/") else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Share the tests out where `--dist loadfile` is given."""
    return _Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_configure() -> None:
    """Draw random ids from the seed, where there is one."""
    if (seed := shuffled.seed()) is not None:
        shuffled.draw_ids(seed, os.environ.get("PYTEST_XDIST_WORKER", ""))


def pytest_report_header() -> str | None:
    """Say how to repeat the order."""
    seed = shuffled.seed()
    return None if seed is None else f"shuffled: {shuffled.SEED_VARIABLE}={seed}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Shuffle the tests, where there is a seed."""
    if (seed := shuffled.seed()) is not None:
        shuffled.shuffle(items, seed)
