"""The stand-in as a process beside the embedded AWS: `python -m gaitway.local.kubernetes DIRECTORY`.

It reads `plan.json` in the directory, serves until it is asked to stop, and forgets everything then.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from gaitway.compute.eks.documents import namespace_manifests
from gaitway.compute.eks.manifests import Eks
from gaitway.local.extensions.batch.images import IMAGES
from gaitway.local.extensions.pod_identity import address_of
from gaitway.local.guard import MARKER
from gaitway.local.kubernetes.cluster import Cluster
from gaitway.local.kubernetes.plan import KUBECONFIG, PLAN, Plan
from gaitway.local.kubernetes.pods import ContainerImage, Surroundings

NODES = 2
ALLOCATABLE = {"cpu": "4", "memory": "16Gi"}
"""Of each node, whatever the machine has: jobs that wait for one another would prove nothing more."""
_TIMEOUT_SECONDS = 10.0


def main(directory: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    plan = Plan.model_validate_json((directory / PLAN).read_bytes(), strict=False)
    eks = Eks.of(plan.config)

    def credentials(namespace: str, account: str) -> Mapping[str, str] | None:
        role = plan.roles.get(account)
        if role is None or namespace != eks.cluster.namespace:
            return None
        address = address_of(plan.endpoint_url, role, account)
        with urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - the emulator's
            found: dict[str, str] = json.load(answer)
        return found

    handle = f"{plan.config.file_system}::{plan.config.access_point}"
    cluster = Cluster(
        Surroundings(
            directory / "pods",
            images=_image,
            file_system={handle: Path(plan.volume)}.__getitem__,
            credentials=credentials,
            variables={"AWS_ENDPOINT_URL": plan.endpoint_url, MARKER: os.environ.get(MARKER, "")},
        ),
        team=eks.cluster.team,
        instance_type=eks.cluster.instance_type,
        nodes=NODES,
        allocatable=ALLOCATABLE | {"vpc.amazonaws.com/efa": str(eks.cluster.efa_interfaces)},
    ).start()
    # What an administrator does once: the agent begins with it.
    cluster.create(*namespace_manifests(eks))
    (directory / KUBECONFIG).write_text(cluster.kubeconfig)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    stop.wait()
    cluster.close()


def _image(address: str) -> ContainerImage | None:
    found = IMAGES.get(address.partition("@")[0])
    return ContainerImage(found.entrypoint, found.environment) if found else None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
