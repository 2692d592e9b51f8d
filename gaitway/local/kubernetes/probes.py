"""The kubelet's probes of a container: commands that run in it, here beside it.

kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Probe:
    """One probe of a container."""

    command: list[str]
    initial_delay_seconds: float
    period_seconds: float
    timeout_seconds: float
    failure_threshold: int

    @classmethod
    def of(cls, document: Mapping[str, Any], rewrite: Callable[[str], str]) -> Probe:
        """Read one, with the API's defaults; the stand-in has none but commands."""
        return cls(
            command=[rewrite(part) for part in document["exec"]["command"]],
            initial_delay_seconds=document.get("initialDelaySeconds", 0),
            period_seconds=document.get("periodSeconds", 10),
            timeout_seconds=document.get("timeoutSeconds", 1),
            failure_threshold=document.get("failureThreshold", 3),
        )

    def succeeds(self, environment: Mapping[str, str]) -> bool:
        """Run it once."""
        try:
            done = subprocess.run(
                self.command,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self.timeout_seconds,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0


class Probes(threading.Thread):
    """The probes of a container, while it runs.

    Args:
        container: As the pod's specification has it.
        environment: Of the container.
        rewrite: Replaces a mount point in an argument by its directory.
        on_ready: Called with each result of the readiness probe.
        on_dead: Called when the liveness probe has failed too often in a row: the kubelet ends the container then.
    """

    def __init__(
        self,
        container: Mapping[str, Any],
        environment: Mapping[str, str],
        rewrite: Callable[[str], str],
        on_ready: Callable[[bool], None],
        on_dead: Callable[[], None],
    ) -> None:
        super().__init__(name="probes", daemon=True)
        self._readiness, self._liveness = (
            Probe.of(container[name], rewrite) if container.get(name) else None
            for name in ("readinessProbe", "livenessProbe")
        )
        self._environment = environment
        self._on_ready = on_ready
        self._on_dead = on_dead
        self._over = threading.Event()

    def close(self) -> None:
        """End them: the container has ended."""
        self._over.set()
        if self.is_alive():
            self.join()

    def run(self) -> None:
        """Probe until the container has ended."""
        began, failures = time.monotonic(), {"readiness": 0, "liveness": 0}
        probes = {
            name: probe for name, probe in (("readiness", self._readiness), ("liveness", self._liveness)) if probe
        }
        due = {name: began + probe.initial_delay_seconds for name, probe in probes.items()}
        while due and not self._over.wait(max(0.0, min(due.values()) - time.monotonic())):
            name = min(due, key=due.__getitem__)
            probe = probes[name]
            is_well = probe.succeeds(self._environment)
            failures[name] = 0 if is_well else failures[name] + 1
            has_failed = failures[name] >= probe.failure_threshold
            if name == "readiness" and (is_well or has_failed):
                self._on_ready(is_well)
            elif name == "liveness" and has_failed:
                self._on_dead()
                return
            due[name] = time.monotonic() + probe.period_seconds
