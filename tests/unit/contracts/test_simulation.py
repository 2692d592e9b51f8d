"""The lines that a simulator prints for its runner."""

import pytest

from gaitway.contracts.simulation import live_view_line, live_view_port


def test_the_port_of_a_page_arrives() -> None:
    assert live_view_port(f"{live_view_line(45_671)}\n") == 45_671


@pytest.mark.parametrize(
    "line", ["Live view: port 80", "Live view: port 65536", "Live view: port 4711/x", "See Live view: port 4711", ""]
)
def test_no_other_line_and_no_port_of_a_service_of_the_machine_is_taken_for_one(line: str) -> None:
    assert live_view_port(line) is None
