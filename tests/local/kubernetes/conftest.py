"""The stand-in for a cluster, with programs in place of images, and real kubectl."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gaitway.agent.kubernetes import KubernetesScheduler
from gaitway.compute.eks.api import KubernetesApi
from gaitway.compute.eks.manifests import Manifest, permission_manifests, storage_manifests
from gaitway.local.kubernetes.cluster import Cluster
from gaitway.local.kubernetes.kinds import POD, PYTORCH_JOB, Kind
from gaitway.local.kubernetes.pods import ContainerImage, Surroundings
from gaitway.names import DEFAULT_NAMES
from tests.unit.compute.eks.settings import IMAGES, KEY, eks

NAMESPACE = "hyperpod-ns-robots"
KUBECTL = Path(sys.executable).with_name("kubectl")
PATIENCE_SECONDS = 30.0

SCRIPT = """
trap 'echo told to stop; exit 11' TERM
echo "rank $RANK of $WORLD_SIZE, run $1"
runs=$GAITWAY_EFS_ROOT/attempts
echo x >> "$runs"
[ "$(wc -l < "$runs")" -ge "$(cat "$GAITWAY_EFS_ROOT/succeeds_at")" ] && exit 0
[ -e "$GAITWAY_EFS_ROOT/fails" ] && exit 1
echo goes on
while :; do sleep 0.02; done
"""
"""Succeeds with the attempt whose number the file names; the attempts before it fail, or go on until they are ended."""


@dataclass
class Desk:
    """A cluster, and what surrounds it."""

    cluster: Cluster
    directory: Path
    images: dict[str, ContainerImage]

    @property
    def volume(self) -> Path:
        """What stands for the file system."""
        return self.directory / "efs"

    def kubectl(self, *arguments: str, text: str | None = None, code: int = 0) -> str:
        """Run kubectl; return what it prints."""
        ended = subprocess.run(
            [str(KUBECTL), "--kubeconfig", str(self.directory / "kubeconfig"), *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert ended.returncode == code, ended
        return ended.stdout + ended.stderr

    def apply(self, *manifests: Manifest) -> None:
        """Create objects, as an administrator."""
        self.cluster.create(*manifests)

    def wait(self, kind: Kind, name: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until an object is as it should be."""
        store, give_up_at = self.cluster.store, time.monotonic() + PATIENCE_SECONDS
        with store.changed:
            while True:
                found = store.find(kind, NAMESPACE, name)
                if found is not None and is_so(found):
                    return found
                assert store.changed.wait(give_up_at - time.monotonic()), f"{name} is {json.dumps(found, indent=1)}"

    def ended(self, name: str = KEY) -> str:
        """Wait for the end of a job; return its last condition's message."""
        kinds = ("Succeeded", "Failed")
        job = self.wait(
            PYTORCH_JOB,
            name,
            lambda job: any(one["type"] in kinds for one in job.get("status", {}).get("conditions", ())),
        )
        return next(str(one["message"]) for one in job["status"]["conditions"] if one["type"] in kinds)

    def running(self, name: str = f"{KEY}-master-0", restarts: int = 0, *, but: str | None = None) -> dict[str, Any]:
        """Wait until a pod's container runs and goes on until it is ended; `but` is the pod that it replaces."""
        pod = self.wait(
            POD,
            name,
            lambda pod: (
                pod["metadata"]["uid"] != but
                and any(
                    "running" in one["state"] and one["restartCount"] == restarts
                    for one in pod["status"].get("containerStatuses", ())
                )
            ),
        )
        until = time.monotonic() + PATIENCE_SECONDS
        log = self.directory / "pods" / pod["metadata"]["uid"] / f"{restarts}.log"
        while "goes on" not in log.read_text():
            assert time.monotonic() < until
            threading.Event().wait(0.01)
        return pod

    def scheduler(self, **cluster: Any) -> KubernetesScheduler:
        """Make the agent's scheduler, with a service account's rights."""
        account = self.directory / "account"
        self.cluster.write_account(account, "gaitway-agent")
        return KubernetesScheduler(KubernetesApi(self.cluster.url, account), eks(**cluster))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    images = {IMAGES["isaaclab-3"]: ContainerImage(["/bin/sh", "-c", SCRIPT, "script"], {"PATH": "/usr/bin:/bin"})}
    volume = tmp_path / "efs"
    volume.mkdir()
    (volume / "succeeds_at").write_text("1")
    surroundings = Surroundings(
        tmp_path / "pods",
        images=images.get,
        file_system=lambda handle: volume,
        credentials=_credentials,
        restart_seconds=0.05,
    )
    cluster = Cluster(
        surroundings,
        team="robots",
        instance_type="ml.g6.12xlarge",
        nodes=2,
        allocatable={"cpu": "48", "memory": "180Gi", "nvidia.com/gpu": "4", "vpc.amazonaws.com/efa": "1"},
        priorities={"training": 75, "inference": 100},
    ).start()
    (tmp_path / "kubeconfig").write_text(cluster.kubeconfig)
    desk = Desk(cluster, tmp_path, images)
    try:
        yield desk
    finally:
        cluster.close()


@pytest.fixture
def ready(desk: Desk) -> Desk:
    """A cluster with what runs need in it."""
    desk.apply(*permission_manifests(eks()), *storage_manifests(eks()))
    return desk


def _credentials(namespace: str, account: str) -> dict[str, str] | None:
    """Associate a role with the account of runs only."""
    return {"AccessKeyId": f"{namespace}/{account}"} if account == DEFAULT_NAMES.runner_account else None
