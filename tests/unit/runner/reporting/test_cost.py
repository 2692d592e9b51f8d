"""What an attempt costs on nodes that several runs share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gaitway.contracts.history import Machine
from gaitway.contracts.request import ComputeConfig
from gaitway.runner.reporting.cost import cost_of, shared

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("compute", "share"),
    [
        (ComputeConfig(gpus_per_node=1), 1.0),
        (ComputeConfig(backend="sagemaker", gpus_per_node=1), 1.0),
        (ComputeConfig(backend="hyperpod-slurm", gpus_per_node=1), 0.25),
        (ComputeConfig(backend="hyperpod-eks", gpus_per_node=4, num_nodes=2), 1.0),
        (ComputeConfig(backend="hyperpod-eks", gpu_slice="2g.20gb"), 2 / 7 / 4),
    ],
)
def test_on_a_cluster_a_run_pays_for_its_part_of_the_gpus(compute: ComputeConfig, share: float) -> None:
    machine = Machine(instance_type="ml.g6.12xlarge", usd_per_hour=8.0, nodes=compute.num_nodes)
    found = shared(machine, compute)
    assert found is not None
    assert found.share == pytest.approx(share)
    cost = cost_of(found, NOON, NOON + timedelta(hours=1))
    assert cost is not None
    assert cost.usd == pytest.approx(8.0 * compute.num_nodes * share)
    assert cost.machine_seconds == 3600 * compute.num_nodes


def test_a_node_of_a_type_that_is_not_known_counts_as_a_whole() -> None:
    machine = Machine(instance_type="ml.p5.48xlarge", usd_per_hour=60.0)
    assert shared(machine, ComputeConfig(backend="hyperpod-eks")) == machine
    assert shared(None, ComputeConfig(backend="hyperpod-eks")) is None
