"""docs/prometheus.md and what it links to: metrics, rules and the dashboard come from the code."""

from __future__ import annotations

import json

import yaml

from gaitway.compute.eks.manifests import METRICS_PORT, MOUNT_PATH
from gaitway.contracts.metrics import SCRAPED_OF_GPUS, SCRAPED_OF_RUNS, Scraped
from handbook.page import cell, code, page
from stacks.prometheus.dashboard import dashboard
from stacks.prometheus.rules import ALERTS, INTERVAL_SECONDS, RECORDINGS, rules
from stacks.prometheus.scraping import of_kubernetes, of_slurm


def prometheus_page() -> str:
    """Write docs/prometheus.md."""
    return page(
        "prometheus.md",
        metrics=_metrics((*SCRAPED_OF_RUNS, *SCRAPED_OF_GPUS)),
        alerts="\n".join(
            (
                "| alert | fires when | what to do |",
                "|---|---|---|",
                *(
                    f"| {one.name} | {code(one.expression)}, for {one.lasts} | {cell(one.next_step)} |"
                    for one in ALERTS
                ),
            )
        ),
        recordings="\n".join(f"- `{one.name}`: {code(one.expression)}" for one in RECORDINGS),
        port=str(METRICS_PORT),
        interval=str(INTERVAL_SECONDS),
        slurm=_yaml(of_slurm(MOUNT_PATH)),
        kubernetes=_yaml(of_kubernetes("hyperpod-ns-robots")),
    )


def rules_file() -> str:
    """Write docs/prometheus/rules.yml."""
    return f"# Written by `python -m handbook.reference`.\n{_yaml(rules())}\n"


def dashboard_file() -> str:
    """Write docs/prometheus/grafana.json."""
    return json.dumps(dashboard(), indent=2) + "\n"


def _metrics(metrics: tuple[Scraped, ...]) -> str:
    rows = (
        f"| `{one.name}` | {'counter' if one.is_counter else 'gauge'} | {', '.join(one.labels)} | {one.description} |"
        for one in metrics
    )
    return "\n".join(("| metric | type | labels | meaning |", "|---|---|---|---|", *rows))


def _yaml(document: object) -> str:
    return str(yaml.safe_dump(document, sort_keys=False, width=10_000)).rstrip()
