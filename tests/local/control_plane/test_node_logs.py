"""What the nodes of a cluster's jobs say reaches CloudWatch Logs, whatever happens to the agent."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from gaitway.agent.node_logs import NodeLogs
from gaitway.compute.jobs import LogAddress
from gaitway.contracts.artifacts import run_directory
from tests.local.control_plane.conftest import SharedClients

RUN_ID = "run-0123456789abcdef0123"
KEY = f"{RUN_ID}-0123456789ab-1"
JOB_ID = f"hyperpod-slurm/{KEY}"


class Copied:
    """A file system, and a log group."""

    def __init__(self, clients: SharedClients, efs_root: Path) -> None:
        self.client = clients.client("logs")
        self.group = f"/gaitway/job-{uuid.uuid4().hex[:8]}"
        self.client.create_log_group(logGroupName=self.group)
        self.efs_root = efs_root
        self.directory = run_directory(efs_root, RUN_ID) / "logs" / KEY
        self.directory.mkdir(parents=True)

    def agent(self, group: str | None = None) -> NodeLogs:
        """Return the logs of an agent that has just begun."""
        return NodeLogs(self.client, group or self.group, self.efs_root)

    def says(self, text: str, node: int = 0) -> None:
        """Let a node write."""
        with (self.directory / f"node-{node}.log").open("a") as file:
            file.write(text)

    def lines(self, node: int = 0) -> list[str]:
        """Read what was copied."""
        stream = f"{JOB_ID}/node-{node}"
        events = self.client.get_log_events(logGroupName=self.group, logStreamName=stream, startFromHead=True)
        return [event["message"] for event in events["events"]]


@pytest.fixture
def copied(shared_clients: SharedClients, tmp_path: Path) -> Copied:
    return Copied(shared_clients, tmp_path)


def test_lines_are_copied_once_each_node_for_itself_also_by_the_next_agent(copied: Copied) -> None:
    assert copied.agent().copy(JOB_ID) is None
    copied.says("one\n\ntwo\nthr")
    copied.says("another node\n", node=1)
    assert copied.agent().copy(JOB_ID) == LogAddress(copied.group, f"{JOB_ID}/node-0")
    assert (copied.lines(), copied.lines(1)) == (["one", "two"], ["another node"])
    copied.says("ee\nfour\n")
    copied.agent().copy(JOB_ID)
    assert copied.lines() == ["one", "two", "three", "four"]


def test_long_logs_and_long_lines_are_copied_as_well(copied: Copied) -> None:
    copied.says("".join(f"line {number}\n" for number in range(5000)))
    copied.says("x" * 40_000 + "\n")
    copied.agent().copy(JOB_ID)
    page = copied.client.get_paginator("filter_log_events").paginate(logGroupName=copied.group)
    messages = [event["message"] for events in page for event in events["events"]]
    assert messages[:5000] == [f"line {number}" for number in range(5000)]
    assert "".join(messages[5000:]) == "x" * 40_000


def test_what_cannot_be_copied_now_is_copied_later(copied: Copied) -> None:
    copied.says("one\n")
    copied.agent("/gaitway/no-such-group").copy(JOB_ID)
    copied.agent().copy(JOB_ID)
    assert copied.lines() == ["one"]
