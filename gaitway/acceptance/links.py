"""Addresses in the AWS console."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import boto3

from gaitway.consoles import CONSOLES

if TYPE_CHECKING:
    from gaitway.acceptance.site import Site


def execution_link(site: Site, arn: str) -> str | None:
    """Return the console's page of a state machine's execution."""
    return _link(site, "states", f"#/v2/executions/details/{arn}")


def job_link(site: Site, job_id: str) -> str | None:
    """Where a job of AWS Batch is shown."""
    return _link(site, "batch", f"#jobs/detail/{job_id}")


def dashboard_link(site: Site, name: str) -> str | None:
    """Where a dashboard of CloudWatch is shown."""
    return _link(site, "cloudwatch", f"#dashboards:name={name}")


def _link(site: Site, service: str, place: str) -> str | None:
    """Write an address; None on the embedded AWS, which has no console."""
    region = site.session.region_name
    if site.is_embedded or region is None:
        return None
    return f"https://{region}.{CONSOLES[_partition(region)]}/{service}/home?region={region}{place}"


@cache
def _partition(region: str) -> str:
    return boto3.Session().get_partition_for_region(region)
