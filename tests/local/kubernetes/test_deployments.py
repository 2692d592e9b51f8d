"""The agent's Deployment on the stand-in: one pod, replaced as Kubernetes does it for the strategy Recreate."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml

from gaitway.compute.eks.agent_manifests import agent_manifest
from gaitway.compute.eks.documents import namespace_manifests
from gaitway.compute.eks.manifests import Manifest
from gaitway.local.kubernetes.kinds import DEPLOYMENT, POD
from gaitway.local.kubernetes.pods import ContainerImage
from gaitway.names import DEFAULT_NAMES
from tests.local.kubernetes.conftest import NAMESPACE, Desk
from tests.unit.compute.eks.settings import IMAGES, eks

AGENT = DEFAULT_NAMES.agent_account
SCRIPT = """
echo "called with $*"
touch "$GAITWAY_POD_DIRECTORY/alive"
[ -e "$GAITWAY_EFS_ROOT/is_well" ] && touch "$GAITWAY_POD_DIRECTORY/ready"
trap 'exit 0' TERM
while :; do sleep 0.02; done
"""


@pytest.fixture
def agent(desk: Desk) -> Desk:
    """A cluster with a program in place of the agent."""
    desk.images[IMAGES["isaaclab-3"]] = ContainerImage(["/bin/sh", "-c", SCRIPT, "agent"], {"PATH": "/usr/bin:/bin"})
    (desk.volume / "is_well").touch()
    return desk


def pods(desk: Desk) -> list[dict[str, Any]]:
    return desk.cluster.store.all(POD, NAMESPACE)


def is_ready(deployment: dict[str, Any]) -> bool:
    return bool(deployment.get("status", {}).get("readyReplicas"))


def impatient(manifest: Manifest) -> Manifest:
    """Let probes come at once."""
    changed = copy.deepcopy(manifest)
    [container] = changed["spec"]["template"]["spec"]["containers"]
    container["readinessProbe"] |= {"periodSeconds": 1, "failureThreshold": 1}
    container["livenessProbe"] |= {"periodSeconds": 1, "failureThreshold": 1, "initialDelaySeconds": 0}
    return changed


def test_what_is_generated_runs_one_agent_that_is_ready_when_it_says_so(agent: Desk) -> None:
    agent.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(everything()))
    agent.wait(DEPLOYMENT, AGENT, is_ready)
    [pod] = pods(agent)
    assert pod["spec"]["serviceAccountName"] == AGENT
    said = agent.kubectl("logs", pod["metadata"]["name"])
    assert said == "called with agent --scheduler kubernetes --parameter /gaitway/agent/hyperpod-eks\n"
    assert "unchanged" in agent.kubectl("apply", "-f", "-", text=json.dumps(agent_manifest(eks())))


def test_an_agent_that_does_not_get_on_is_not_ready(agent: Desk) -> None:
    (agent.volume / "is_well").unlink()
    agent.apply(*everything(impatient(agent_manifest(eks()))))
    # The liveness probe is content with it, which another test would see fail.
    pod = agent.wait(POD, the_pod(agent), lambda pod: bool(pod["status"].get("containerStatuses")))
    assert not pod["status"]["containerStatuses"][0]["ready"]
    assert not is_ready(agent.cluster.store.get(DEPLOYMENT, NAMESPACE, AGENT))


def test_an_agent_that_hangs_is_started_again(agent: Desk) -> None:
    manifest = impatient(agent_manifest(eks()))
    [container] = manifest["spec"]["template"]["spec"]["containers"]
    container["livenessProbe"]["exec"]["command"][-1] += ".of-another-time"
    agent.apply(*everything(manifest))
    agent.wait(
        POD,
        the_pod(agent),
        lambda pod: any(one["restartCount"] >= 1 for one in pod["status"].get("containerStatuses", ())),
    )


def test_the_agent_of_a_new_version_begins_when_the_old_one_has_ended(agent: Desk) -> None:
    agent.apply(*everything())
    old = agent.wait(POD, the_pod(agent), lambda pod: pod["status"].get("phase") == "Running")
    patch = {"spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}}
    agent.kubectl("patch", "deployment", AGENT, "--type=merge", "--patch", json.dumps(patch))
    with agent.cluster.store.changed:
        while True:
            found = pods(agent)
            assert len(found) <= 1
            if found and found[0]["metadata"]["uid"] != old["metadata"]["uid"]:
                break
            assert agent.cluster.store.changed.wait(30)


def test_a_deployment_that_is_deleted_takes_its_pod_with_it(agent: Desk) -> None:
    agent.apply(*everything())
    name = the_pod(agent)
    agent.wait(POD, name, lambda pod: pod["status"].get("phase") == "Running")
    agent.kubectl("delete", "deployment", AGENT)
    agent.kubectl("wait", f"pod/{name}", "--for=delete", "--timeout=30s")


def test_what_the_stand_in_does_not_have_is_refused(agent: Desk) -> None:
    agent.apply(*everything()[:-1])
    rolling, other = agent_manifest(eks()), agent_manifest(eks())
    rolling["spec"]["strategy"] = {"type": "RollingUpdate"}
    other["spec"]["selector"]["matchLabels"] = {"app": "another"}
    for manifest, message in ((rolling, "knows Recreate only"), (other, "does not match template")):
        assert message in agent.kubectl("apply", "-f", "-", text=json.dumps(manifest), code=1)


def everything(deployment: Manifest | None = None) -> list[Manifest]:
    """What a namespace needs once, the Deployment last."""
    return [*namespace_manifests(eks())[:-1], deployment or agent_manifest(eks())]


def the_pod(desk: Desk) -> str:
    """Wait for the Deployment's pod; return its name."""
    with desk.cluster.store.changed:
        while not (found := pods(desk)):
            assert desk.cluster.store.changed.wait(30)
    name: str = found[0]["metadata"]["name"]
    return name
