"""Prometheus looks where runs offer their metrics."""

from __future__ import annotations

import json
from pathlib import Path

from gaitway.compute.eks.manifests import METRICS_PORT_NAME, RUN_LABEL
from gaitway.compute.slurm import TARGETS
from stacks.prometheus.rules import JOB
from stacks.prometheus.scraping import of_kubernetes, of_slurm
from tests.prometheus import needs_prometheus, promtool

POD = "__meta_kubernetes_pod"


@needs_prometheus
def test_the_configuration_for_slurm_is_as_prometheus_wants_it(tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text(json.dumps(of_slurm("/mnt/gaitway")))
    assert "SUCCESS" in promtool("check", "config", str(tmp_path / "prometheus.yml"))


@needs_prometheus
def test_only_the_metrics_of_pods_of_runs_that_run_are_read(tmp_path: Path) -> None:
    """Debian's Prometheus cannot discover pods: they are given to it with the labels that discovery gives them."""
    config = of_kubernetes("hyperpod-ns-robots")
    [job] = config["scrape_configs"]
    del job["kubernetes_sd_configs"]
    a_run = {
        f"{POD}_labelpresent_gaitway_run": "true",
        f"{POD}_container_port_name": "metrics",
        f"{POD}_phase": "Running",
        f"{POD}_name": "run-1-master-0",
    }
    others = [
        {f"{POD}_labelpresent_gaitway_run": ""},
        {f"{POD}_container_port_name": "pytorchjob-port"},
        {f"{POD}_phase": "Succeeded"},
    ]
    job["static_configs"] = [
        {"targets": [f"10.0.0.{number}:29401"], "labels": a_run | other} for number, other in enumerate([{}, *others])
    ]
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    said = promtool("check", "service-discovery", "--timeout=1s", str(tmp_path / "prometheus.yml"), JOB)
    found = [target["labels"] for target in json.loads(said) if target.get("labels")]
    assert [(labels["instance"], labels["job"], labels["pod"]) for labels in found] == [
        ("10.0.0.0:29401", JOB, "run-1-master-0")
    ]


def test_pods_are_known_by_the_label_and_the_port_of_their_manifest() -> None:
    [job] = of_kubernetes("hyperpod-ns-robots")["scrape_configs"]
    kept = {rule["source_labels"][0]: rule["regex"] for rule in job["relabel_configs"] if rule["action"] == "keep"}
    # Prometheus writes names of labels with underscores.
    assert kept[f"__meta_kubernetes_pod_labelpresent_{RUN_LABEL.replace('/', '_')}"] == "true"
    assert kept["__meta_kubernetes_pod_container_port_name"] == METRICS_PORT_NAME


def test_nodes_of_slurm_are_read_from_the_files_of_jobs() -> None:
    [job] = of_slurm("/mnt/gaitway")["scrape_configs"]
    assert job["file_sd_configs"][0]["files"] == [f"/mnt/gaitway/{TARGETS}/*.json"]
