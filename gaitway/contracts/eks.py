"""What a deployment knows of its HyperPod EKS cluster: a part of what its agent is told."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gaitway.contracts.model import Stored
from gaitway.contracts.text import Like

NAMESPACE_PREFIX = "hyperpod-ns-"
"""HyperPod's task governance makes this namespace for a team, and the local queue in it; and HyperPod resumes jobs in
namespaces that begin with `hyperpod`, and in `kubeflow`, only:
docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-eks-run-jobs-hyperpod-cli.html"""


class EksSettings(Stored):
    """A cluster."""

    team: Annotated[str, Like(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", "at most 40 lower-case letters, digits and -")]
    """Name of the team in HyperPod's task governance."""
    priority_class: (
        Annotated[str, Like(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "at most 63 lower-case letters, digits and -")]
        | None
    ) = None
    """Name of a priority class of the cluster's policy; None for the policy's default."""
    instance_type: Annotated[str, Like(r"ml\.[a-z0-9-]+\.[a-z0-9]+", "a type of SageMaker, as ml.g6.12xlarge")]
    """Of the instance group that runs jobs."""
    efa_interfaces: Annotated[int, Field(ge=0)] = 0
    """How many Elastic Fabric Adapters a node has."""
    hugepages_mib: Annotated[int, Field(ge=0)] = 0
    """Memory of a node that its AMI sets aside as pages of 2 MiB, which Elastic Fabric Adapters use; 0 where it does
    not: docs.aws.amazon.com/eks/latest/userguide/node-efa.html"""

    @property
    def namespace(self) -> str:
        """The namespace of all objects."""
        return f"{NAMESPACE_PREFIX}{self.team}"

    @property
    def queue(self) -> str:
        """Kueue's local queue of the team, as HyperPod's task governance names it.

        docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-eks-operate-console-ui-governance-cli.html
        """
        return f"{self.namespace}-localqueue"
