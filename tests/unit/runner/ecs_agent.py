"""The ECS agent's metadata endpoint, as far as the runner asks it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

IMAGE = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/gaitway@sha256:4f5"


@contextmanager
def ecs_agent(answer: str) -> Iterator[str]:
    """Answer questions about a task, for as long as this is entered.

    Args:
        answer: What is said of the task.

    Returns:
        The value of ECS_CONTAINER_METADATA_URI_V4.
    """

    class Agent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/v4/id/task" else 404)
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Agent) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v4/id"
        finally:
            server.shutdown()
            thread.join()


def task(pull_started_at: str, pull_stopped_at: str) -> str:
    """Describe a task as the agent does, with the container that holds its network beside the job's own."""
    return f"""{{
      "Cluster": "default", "Family": "job", "Limits": {{"CPU": 8}},
      "PullStartedAt": "{pull_started_at}", "PullStoppedAt": "{pull_stopped_at}",
      "Containers": [
        {{"Name": "~internal~ecs~pause", "Type": "CNI_PAUSE", "Image": "amazon/amazon-ecs-pause:0.1.0"}},
        {{"Name": "default", "Type": "NORMAL", "Image": "{IMAGE}", "ImageID": "sha256:abc", "Ports": []}}
      ]
    }}"""
