"""A deployment with a cluster of EKS, and an order for it."""

from __future__ import annotations

from typing import Any

from gaitway.compute.eks.manifests import Eks
from gaitway.contracts.cluster import AgentConfig, NodeSize, SubmitOrder
from gaitway.contracts.eks import EksSettings
from gaitway.contracts.request import ComputeConfig
from gaitway.libraries.simulators import Simulator

RUN = f"run-{'0' * 20}"
KEY = f"{RUN}-{'a' * 12}-1"


IMAGES: dict[Simulator, str] = {
    "isaaclab-2": "000000000000.dkr.ecr.us-east-1.amazonaws.com/gaitway@sha256:2",
    "isaaclab-3": "000000000000.dkr.ecr.us-east-1.amazonaws.com/gaitway@sha256:3",
}


def eks(deployment: str = "gaitway", **cluster: Any) -> Eks:
    settings = {"team": "robots", "instance_type": "ml.g6.12xlarge"}
    config = AgentConfig(
        deployment=deployment,
        queue=f"{deployment}-hyperpod-eks-orders.fifo",
        run_table="gaitway-runs",
        sizes={str(gpus): NodeSize(gpus=gpus, vcpus=8 * gpus, memory_mib=28 * 1024 * gpus) for gpus in (1, 2, 4)},
        job_environment={"GAITWAY_RUN_TABLE": "gaitway-runs", "GAITWAY_METRICS_NAMESPACE": "Gaitway"},
        efs_root="/mnt/gaitway",
        file_system="fs-0123456789abcdef0",
        access_point="fsap-0123456789abcdef0",
        mounts=(),
        job_attempts=3,
        images=dict(IMAGES),
        command=(),
        eks=EksSettings.model_validate(settings | cluster),
    )
    return Eks.of(config)


def order(
    key: str = KEY, timeout_seconds: int = 3600, simulator: Simulator | None = "isaaclab-3", **compute: Any
) -> SubmitOrder:
    return SubmitOrder(
        job_id=f"hyperpod-eks/{key}",
        run_id=RUN,
        compute=ComputeConfig(backend="hyperpod-eks", **compute),
        timeout_seconds=timeout_seconds,
        simulator=simulator,
    )
