"""Stand-ins for the commands that a build of the image runs: each writes down how it was called, and Docker pushes.

On the embedded AWS a build runs on this machine, where neither the base image nor, mostly, Docker can be had.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_TOOL = """#!{python}
import hashlib, json, pathlib, sys
import boto3

tool, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
directory = pathlib.Path({directory!r})
given = sys.stdin.read() if "--password-stdin" in arguments else ""
with (directory / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps({{"tool": tool, "arguments": arguments, "stdin": given}}) + "\\n")
said = directory / (f"{{tool}}-{{arguments[0]}}.txt")
if said.exists():
    sys.stdout.write(said.read_text())
    sys.exit(1)
if (tool, arguments[0]) == ("aws", "ecr"):
    print("password-of-ecr")
elif (tool, arguments[0]) == ("aws", "secretsmanager"):
    region = arguments[arguments.index("--region") + 1]
    client = boto3.client("secretsmanager", region_name=region)
    try:
        print(client.get_secret_value(SecretId=arguments[arguments.index("--secret-id") + 1])["SecretString"])
    except Exception as error:
        print(error, file=sys.stderr)
        sys.exit(255)
elif (tool, arguments[0]) == ("docker", "login") and not given.strip():
    # Docker asks for what it is not given.
    print("Error: Cannot perform an interactive login from a non TTY device", file=sys.stderr)
    sys.exit(1)
elif (tool, arguments[0]) == ("docker", "push"):
    repository, _, tag = arguments[1].rpartition(":")
    digest = hashlib.sha256(tag.encode()).hexdigest()
    manifest = json.dumps({{"schemaVersion": 2, "config": {{"digest": f"sha256:{{digest}}"}}}})
    boto3.client("ecr").put_image(repositoryName=repository.partition("/")[2], imageManifest=manifest, imageTag=tag)
"""


class BuildTools:
    """`aws` and `docker` for one project's builds.

    Attributes:
        path: What to put before the PATH of the build.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for name in ("aws", "docker"):
            tool = directory / name
            tool.write_text(_TOOL.format(python=sys.executable, directory=str(directory)), encoding="utf-8")
            tool.chmod(0o755)
        self.path = f"{directory}{os.pathsep}{os.environ['PATH']}"

    def used_by(self, template: Json) -> Json:
        """Let the builds of a template's project find these first."""
        changed: Json = json.loads(json.dumps(template))
        for resource in changed["Resources"].values():
            if resource["Type"] == "AWS::CodeBuild::Project":
                resource["Properties"]["Environment"]["EnvironmentVariables"].append(
                    {"Name": "PATH", "Type": "PLAINTEXT", "Value": self.path}
                )
        return changed

    def fail(self, tool: str, command: str, output: str) -> None:
        """Let a command print something and fail, until told otherwise."""
        (self._directory / f"{tool}-{command}.txt").write_text(output, encoding="utf-8")

    def succeed(self) -> None:
        """Let every command succeed again."""
        for said in self._directory.glob("*.txt"):
            said.unlink()

    def calls(self) -> list[Json]:
        """List how the commands were called so far: tool, arguments, and what it read."""
        calls = self._directory / "calls.jsonl"
        return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []
