"""What holds for every test."""

import signal

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts the tests in the background leaves this to all processes under it: none would hear Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class _Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """The tests of a file run in one process, and those of the stacks, too: they share what is synthesised."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/infra" if nodeid.startswith("tests/infra/") else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Share the tests out where `--dist loadfile` is given."""
    return _Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None
