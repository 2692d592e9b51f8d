"""CodeBuild builds, as processes of this machine.

MiniStack reports success at once, and builds nothing. Here a build downloads its sources with its project's role, runs
the commands of its build spec phase by phase, and writes what they print to its project's log group:
docs.aws.amazon.com/codebuild/latest/userguide/view-build-details.html, .../build-spec-ref.html. There is no container:
commands find what this machine has, or what the PATH among the project's environment variables names.
"""

import contextvars
import io
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError
from ministack.services import codebuild
from ministack.services.cloudformation import provisioners

from gaitway.local.extensions.cloudformation.batch import to_api
from gaitway.local.extensions.cloudformation.handlers import Created
from gaitway.local.guard import MARKER, end_processes
from gaitway.local.runtime import REGION, Runtime
from gaitway.local.services import Json, open_role_session

_COMMAND_PHASES = ("install", "pre_build", "build", "post_build")
_SESSION_SECONDS = 3600
_overrides: contextvars.ContextVar[tuple[Json, ...]] = contextvars.ContextVar("overrides", default=())
"""The environment variables that the request to start this build gives."""


class _PhaseError(Exception):
    """A phase failed; `status` and the message are what CodeBuild has in the phase's context."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Build:
    """One build, in its own thread."""

    def __init__(self, build: Json, project: Json, runtime: Runtime) -> None:
        self._build = build
        self._project = project
        self._runtime = runtime
        name = f"AWSCodeBuild-{build['id'].rpartition(':')[2]}"
        session = open_role_session(project["serviceRole"], name, _SESSION_SECONDS)
        self._credentials = dict(
            zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), session, strict=True)
        )
        self._directory = Path(tempfile.mkdtemp(prefix="codebuild-"))

    def run(self) -> None:
        """Go through the phases, as far as they succeed: after a failed build its post_build still comes."""
        try:
            succeeding = self._phase("PROVISIONING", self._open_log) and self._phase("DOWNLOAD_SOURCE", self._download)
            for name in _COMMAND_PHASES:
                if succeeding or (name == "post_build" and self._has_built):
                    succeeding = self._phase(name.upper(), partial(self._commands, name)) and succeeding
            codebuild._record_phase(self._build, "FINALIZING", "SUCCEEDED")
            if self._build["buildStatus"] == "IN_PROGRESS":
                codebuild._finish_build(self._build, "SUCCEEDED" if succeeding else "FAILED")
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def _has_built(self) -> bool:
        return any(phase["phaseType"] == "BUILD" for phase in self._build["phases"])

    @property
    def _is_succeeding(self) -> bool:
        return all(phase.get("phaseStatus") in ("SUCCEEDED", None) for phase in self._build["phases"])

    def _phase(self, name: str, action: Callable[[], None]) -> bool:
        """Do what a phase does; say whether it succeeded."""
        failure = None
        try:
            action()
        except _PhaseError as error:
            failure = error
        codebuild._record_phase(self._build, name, "FAILED" if failure else "SUCCEEDED")
        status, message = (failure.status, str(failure)) if failure else ("", "")
        phase = next(phase for phase in self._build["phases"] if phase["phaseType"] == name)
        phase["contexts"] = [{"statusCode": status, "message": message}]
        if name != "PROVISIONING":
            self._say(f"Phase complete: {name} State: {phase['phaseStatus']}")
            self._say(f"Phase context status code: {status} Message: {message}")
        return failure is None

    def _open_log(self) -> None:
        """Create the log stream, with the project's role."""
        log = self._build["logs"]
        try:
            self._client("logs").create_log_stream(logGroupName=log["groupName"], logStreamName=log["streamName"])
        except ClientError as error:
            raise _PhaseError(
                "ACCESS_DENIED",
                f"Service role {self._project['serviceRole']} does not allow AWS CodeBuild to create Amazon CloudWatch "
                f"Logs log streams for build {self._build['arn']}. Error message: {error}",
            ) from None

    def _download(self) -> None:
        """Unpack the sources from S3."""
        bucket, _, key = self._project["source"]["location"].partition("/")
        try:
            archive = self._client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            raise _PhaseError("CLIENT_ERROR", f"error while downloading key {key}, error: {error}") from None
        with zipfile.ZipFile(io.BytesIO(archive)) as sources:
            sources.extractall(self._directory)

    def _commands(self, phase: str) -> None:
        """Run the commands of a phase, until one fails."""
        self._say(f"Entering phase {phase.upper()}")
        build_spec = json.loads(self._project["source"]["buildspec"])
        for command in build_spec["phases"].get(phase, {}).get("commands", []):
            self._say(f"Running command {command}")
            with self._process(command) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    self._put(line)
            if process.returncode:
                reason = f"exit status {process.returncode}"
                self._say(f"Command did not exit successfully {command} {reason}")
                raise _PhaseError(
                    "COMMAND_EXECUTION_ERROR", f"Error while executing command: {command}. Reason: {reason}"
                )

    @contextmanager
    def _process(self, command: str) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=self._directory,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._runtime.guard.watch(process.pid)
        _running[self._build["id"]] = process.pid
        try:
            with process:
                yield process
        finally:
            _running.pop(self._build["id"], None)
            self._runtime.guard.forget(process.pid)

    def _environment(self) -> dict[str, str]:
        """docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html."""
        given = [*self._project["environment"].get("environmentVariables", []), *_overrides.get()]
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._directory),
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self._runtime.endpoint_url,
            "CODEBUILD_BUILD_ID": self._build["id"],
            "CODEBUILD_BUILD_SUCCEEDING": str(int(self._is_succeeding)),
            "CODEBUILD_SRC_DIR": str(self._directory),
            MARKER: os.environ[MARKER],
            **{variable["name"]: str(variable["value"]) for variable in given},
            **self._credentials,
        }

    def _client(self, service: str) -> Any:  # noqa: ANN401 - boto3's clients are typed by their service
        names = {
            "AWS_ACCESS_KEY_ID": "aws_access_key_id",
            "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key",
            "AWS_SESSION_TOKEN": "aws_session_token",
        }
        credentials: dict[str, Any] = {names[name]: value for name, value in self._credentials.items()}
        return boto3.client(
            service,  # type: ignore[call-overload]  # known at run time only
            region_name=REGION,
            endpoint_url=self._runtime.endpoint_url,
            **credentials,
        )

    def _say(self, text: str) -> None:
        self._put(f"[Container] {datetime.now(UTC):%Y/%m/%d %H:%M:%S.%f} {text}\n")

    def _put(self, line: str) -> None:
        log = self._build["logs"]
        self._client("logs").put_log_events(
            logGroupName=log["groupName"],
            logStreamName=log["streamName"],
            logEvents=[{"timestamp": int(time.time() * 1000), "message": line or "\n"}],
        )


_running: dict[str, int] = {}
"""By a build's id: the process that runs its command."""


def _with_log_group(make_build_record: Callable[..., Json]) -> Callable[..., Json]:
    """A build writes to the log group of its project, or to one of CodeBuild's own."""

    def make(project: Json, build_id: str, source_version: str | None = None) -> Json:
        build = make_build_record(project, build_id, source_version)
        group = project.get("logsConfig", {}).get("cloudWatchLogs", {}).get("groupName")
        stream = build_id.rpartition(":")[2]
        build["logs"] = {"groupName": group or build["logs"]["groupName"], "streamName": stream}
        return build

    return make


def _with_overrides(start_build: Callable[[Json], Any]) -> Callable[[Json], Any]:
    """A token starts one build, however often it comes.

    docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html
    """
    answers: dict[str, Any] = {}
    lock = threading.Lock()

    def start(request: Json) -> Any:  # noqa: ANN401 - MiniStack's own response
        token = request.get("idempotencyToken")
        with lock:
            if token in answers:
                return answers[token]
            _overrides.set(tuple(request.get("environmentVariablesOverride", ())))
            answer = start_build(request)
            if token and answer[0] == 200:
                answers[token] = answer
            return answer

    return start


def _ending_processes(stop_build: Callable[[Json], Any]) -> Callable[[Json], Any]:
    def stop(request: Json) -> Any:  # noqa: ANN401 - MiniStack's own response
        answer = stop_build(request)
        if process := _running.get(request.get("id", "")):
            end_processes("CODEBUILD_BUILD_ID", request["id"], [process])
        return answer

    return stop


def _keep_log_group_in_cloudformation() -> None:
    handler = provisioners._RESOURCE_HANDLERS["AWS::CodeBuild::Project"]
    create, update = handler["create"], handler["update"]

    def keep(name: str, properties: Json) -> None:
        codebuild._projects[name]["logsConfig"] = to_api(properties.get("LogsConfig", {}))

    def create_with_logs(logical_id: str, properties: Json, stack_name: str) -> Created:
        created: Created = create(logical_id, properties, stack_name)
        keep(created[0], properties)
        return created

    def update_with_logs(physical_id: str, old: Json, new: Json, *context: str) -> Created:
        updated: Created = update(physical_id, old, new, *context)
        keep(updated[0], new)
        return updated

    handler.update(create=create_with_logs, update=update_with_logs)


@cache
def register(runtime: Runtime) -> None:
    """Enable builds; a second call changes nothing."""

    def execute(build_id: str, project: Json) -> None:
        _Build(codebuild._builds[build_id], project, runtime).run()

    codebuild.EXECUTE_BUILDS = True
    codebuild._execute_build = execute
    codebuild._container_for_build = lambda build_id: None
    codebuild._make_build_record = _with_log_group(codebuild._make_build_record)
    codebuild._start_build = _with_overrides(codebuild._start_build)
    codebuild._stop_build = _ending_processes(codebuild._stop_build)
    _keep_log_group_in_cloudformation()
