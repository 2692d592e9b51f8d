"""How Prometheus finds the nodes of runs: prometheus.io/docs/prometheus/latest/configuration/configuration."""

from __future__ import annotations

from typing import Any

from stacks.prometheus.rules import INTERVAL_SECONDS, JOB

_POD = "__meta_kubernetes_pod"


def of_kubernetes(namespace: str) -> dict[str, Any]:
    """Return the configuration that scrapes runs' pods by their label and their port's name.

    Both are those of `gaitway/compute/eks/manifests.py`; a test compares them.

    Args:
        namespace: The team's.
    """
    relabel = [
        {"action": "keep", "source_labels": [f"{_POD}_labelpresent_gaitway_run"], "regex": "true"},
        {"action": "keep", "source_labels": [f"{_POD}_container_port_name"], "regex": "metrics"},
        # A pod that has ended stays for a week, with its logs.
        {"action": "keep", "source_labels": [f"{_POD}_phase"], "regex": "Running"},
        {"action": "replace", "source_labels": [f"{_POD}_name"], "target_label": "pod"},
    ]
    discovery = {"role": "pod", "namespaces": {"names": [namespace]}}
    return _config({"kubernetes_sd_configs": [discovery], "relabel_configs": relabel})


def of_slurm(efs_root: str) -> dict[str, Any]:
    """Return the configuration that scrapes the nodes which jobs' scripts name in files.

    Args:
        efs_root: Where the machine of Prometheus has the file system.
    """
    # Files are noticed when they change; where they are on a network file system, only by looking again.
    discovery = {"files": [f"{efs_root}/metrics/*.json"], "refresh_interval": f"{INTERVAL_SECONDS}s"}
    return _config({"file_sd_configs": [discovery]})


def _config(job: dict[str, Any]) -> dict[str, Any]:
    interval = f"{INTERVAL_SECONDS}s"
    return {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "scrape_configs": [{"job_name": JOB, **job}],
    }
