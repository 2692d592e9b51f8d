"""A pod on its node: containers are processes of this machine.

A container is restarted at once after its first failure, then after 10 seconds, 20 and so on to 5 minutes:
kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gaitway.local.guard import Guard, end_processes
from gaitway.local.kubernetes.kinds import POD
from gaitway.local.kubernetes.probes import Probes
from gaitway.local.kubernetes.store import ApiError, Object, Store, now
from gaitway.local.mounts import rewrite
from gaitway.local.runtime import HOST

POD_MARKER = "GAITWAY_LOCAL_POD"
"""In the environment of a pod's processes; a real one has no such variable."""


@dataclass(frozen=True)
class ContainerImage:
    """An image: a program of this machine takes its place."""

    entrypoint: list[str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Surroundings:
    """What is around the cluster."""

    directory: Path
    """For pods' files and logs."""
    images: Callable[[str], ContainerImage | None]
    """By address."""
    file_system: Callable[[str], Path]
    """The directory that stands for a volume of the EFS driver, by its handle."""
    credentials: Callable[[str, str], Mapping[str, str] | None] = lambda namespace, account: None
    """EKS Pod Identity: credentials for a service account; None where it has no association."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the processes need to find the embedded AWS."""
    guard: Guard | None = None
    restart_seconds: float = 10.0
    """Before the second restart of a container."""


class RunningPod(threading.Thread):
    """A pod, and its container's processes, one after another."""

    def __init__(
        self,
        store: Store,
        body: Object,
        node: str,
        environment: Callable[[Object, ContainerImage, Mapping[str, Path | str]], dict[str, str]],
        surroundings: Surroundings,
        directories: Mapping[str, Path | str],
    ) -> None:
        super().__init__(name=f"pod-{body['metadata']['name']}", daemon=True)
        self._store = store
        self._body = body
        self._metadata = body["metadata"]
        self._container = body["spec"]["containers"][0]
        self._policy = body["spec"].get("restartPolicy", "Always")
        self._environment = environment
        self._surroundings = surroundings
        self._directories = directories
        self._restarts = 0
        self._last: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._killer: threading.Timer | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = ""
        self.has_ended = False
        """Whether no process follows."""
        self.is_gone = False

        def edit(pod: Object) -> None:
            pod["spec"]["nodeName"] = node
            pod["status"] = {"phase": "Pending"}

        store.change(POD, self._metadata["namespace"], self._metadata["name"], edit)

    @property
    def process_id(self) -> int | None:
        """Id of the container's first process."""
        with self._lock:
            return self._process.pid if self._process is not None and self._process.returncode is None else None

    def log_path(self, *, previous: bool = False) -> Path | None:
        """Return the file with a container's output."""
        number = self._restarts - previous
        return self._surroundings.directory / self._metadata["uid"] / f"{number}.log" if number >= 0 else None

    def stop(self, grace_seconds: int) -> None:
        """Ask the container to end, and end it when its time is over."""
        with self._lock:
            is_first = not self._stopping.is_set()
            self._stopping.set()
            process = self._process
            if is_first or grace_seconds == 0:
                if self._killer is not None:
                    self._killer.cancel()
                self._killer = threading.Timer(grace_seconds, self._kill)
                self._killer.daemon = True
                self._killer.start()
        # A node that is lost tells nobody.
        if is_first and process is not None and grace_seconds > 0:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)

    def run(self) -> None:
        """Run the container until it has succeeded, or the pod is deleted."""
        image = self._surroundings.images(self._container["image"])
        if image is None:
            message = f"failed to pull and unpack image {self._container['image']!r}: not found"
            self._report("Pending", {"waiting": {"reason": "ErrImagePull", "message": message}})
            self._stopping.wait()
        else:
            self._run(image)
        if self._killer is not None:
            self._killer.cancel()
        self.has_ended = True
        # A pod that took its place may have its name already.
        with contextlib.suppress(ApiError):
            self._store.delete(POD, self._metadata["namespace"], self._metadata["name"], self._metadata["uid"])
        self.is_gone = True

    def _run(self, image: ContainerImage) -> None:
        while not self._stopping.is_set():
            code, reason = self._attempt(image)
            ended = {"exitCode": code, "reason": reason, "startedAt": self._started_at, "finishedAt": now()}
            self._last = {"terminated": ended}
            if self._stopping.is_set():
                return
            if (code == 0 and self._policy != "Always") or self._policy == "Never":
                self.has_ended = True
                self._report("Succeeded" if code == 0 else "Failed", self._last)
                self._stopping.wait()
                return
            delay = min(300.0, self._surroundings.restart_seconds * 2 ** (self._restarts - 1)) if self._restarts else 0
            if delay:
                message = f"back-off {delay:g}s restarting failed container"
                self._report("Running", {"waiting": {"reason": "CrashLoopBackOff", "message": message}})
                self._stopping.wait(delay)
            if not self._stopping.is_set():
                self._restarts += 1

    def _attempt(self, image: ContainerImage) -> tuple[int, str]:
        """Run one container; return its exit code, and the kubelet's word for it."""
        command = [
            rewrite(part, self._directories)
            for part in (*(self._container.get("command") or image.entrypoint), *(self._container.get("args") or ()))
        ]
        path = self.log_path()
        assert path is not None
        path.parent.mkdir(parents=True, exist_ok=True)
        guard = self._surroundings.guard
        environment = self._environment(self._body, image, self._directories)
        self._started_at = now()
        with path.open("ab") as log:
            try:
                with self._lock:
                    if self._stopping.is_set():
                        return 0, "Completed"
                    self._process = process = subprocess.Popen(
                        command,
                        cwd=path.parent,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
            except OSError as error:
                log.write(f"{error}\n".encode())
                return 128, "StartError"
        if guard is not None:
            guard.watch(process.pid)
        running = {"running": {"startedAt": self._started_at}}
        self._report("Running", running, is_ready="readinessProbe" not in self._container)
        probes = Probes(
            self._container,
            environment,
            lambda part: rewrite(part, self._directories),
            on_ready=lambda is_ready: self._report("Running", running, is_ready=is_ready),
            on_dead=self._kill,
        )
        probes.start()
        code = process.wait()
        probes.close()
        # Whatever the container has left, as the end of a container does.
        end_processes(POD_MARKER, self._metadata["uid"], [process.pid])
        if guard is not None:
            guard.forget(process.pid)
        code = code if code >= 0 else 128 - code
        return code, "Completed" if code == 0 else "Error"

    def _kill(self) -> None:
        if (pid := self.process_id) is not None:
            end_processes(POD_MARKER, self._metadata["uid"], [pid])

    def _report(self, phase: str, state: dict[str, Any], *, is_ready: bool = False) -> None:
        status = {
            "name": self._container["name"],
            "image": self._container["image"],
            "imageID": self._container["image"],
            "ready": is_ready,
            "started": "running" in state,
            "restartCount": self._restarts,
            "state": state,
            "lastState": self._last if "terminated" not in state else {},
        }

        def edit(pod: Object) -> None:
            pod["status"] = {
                "phase": phase,
                "podIP": HOST,
                "startTime": pod["status"].get("startTime", self._started_at or now()),
                "containerStatuses": [status],
            }

        # It may have been removed meanwhile, and another one may have its name.
        metadata = self._metadata
        with contextlib.suppress(ApiError):
            self._store.change(POD, metadata["namespace"], metadata["name"], edit, uid=metadata["uid"])
