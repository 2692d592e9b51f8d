"""Prometheus looks where runs offer their metrics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gaitway.compute.eks.manifests import METRICS_PORT_NAME, RUN_LABEL
from gaitway.compute.slurm import TARGETS
from stacks.prometheus.scraping import of_kubernetes, of_slurm
from tests.prometheus import needs_prometheus, promtool


@needs_prometheus
@pytest.mark.parametrize(
    "config", [of_kubernetes("hyperpod-ns-robots"), of_slurm("/mnt/gaitway")], ids=["eks", "slurm"]
)
def test_the_configuration_is_as_prometheus_wants_it(config: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    assert "SUCCESS" in promtool("check", "config", str(tmp_path / "prometheus.yml"))


def test_pods_are_known_by_the_label_and_the_port_of_their_manifest() -> None:
    [job] = of_kubernetes("hyperpod-ns-robots")["scrape_configs"]
    kept = {rule["source_labels"][0]: rule["regex"] for rule in job["relabel_configs"] if rule["action"] == "keep"}
    # Prometheus writes names of labels with underscores.
    assert kept[f"__meta_kubernetes_pod_labelpresent_{RUN_LABEL.replace('/', '_')}"] == "true"
    assert kept["__meta_kubernetes_pod_container_port_name"] == METRICS_PORT_NAME


def test_nodes_of_slurm_are_read_from_the_files_of_jobs() -> None:
    [job] = of_slurm("/mnt/gaitway")["scrape_configs"]
    assert job["file_sd_configs"][0]["files"] == [f"/mnt/gaitway/{TARGETS}/*.json"]
