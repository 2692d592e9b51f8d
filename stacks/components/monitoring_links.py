"""Where to look next: the dashboard's links into the console."""

from __future__ import annotations

from urllib.parse import quote

import aws_cdk as cdk

from stacks.components.logs import JOB_LOGS
from stacks.components.monitored import Monitored

_CONSOLE = f"https://{cdk.Aws.REGION}.console.aws.amazon.com"


def links(monitored: Monitored) -> str:
    """Write the links, in Markdown."""
    region = cdk.Aws.REGION
    logs = f"{_CONSOLE}/cloudwatch/home?region={region}#logsV2:"
    machines = [
        _link(
            watched.name,
            f"{_CONSOLE}/states/home?region={region}#/statemachines/view/{watched.machine.state_machine_arn}",
        )
        for watched in (monitored.pipeline, monitored.workflow)
    ]
    groups = [
        _link(group.rpartition("/")[2], f"{logs}log-groups/log-group/{_in_address(group)}")
        for group in (JOB_LOGS, *(f"/gaitway/{watched.name}" for watched in monitored.functions))
    ]
    lines = [
        "# Gaitway",
        f"**Logs**: {' · '.join(groups)}",
        f"**State machines**: {' · '.join(machines)} — **Queries**: "
        + _link("saved in Logs Insights, under gaitway", f"{logs}logs-insights")
        + " — **Jobs**: "
        + _link("AWS Batch", f"{_CONSOLE}/batch/home?region={region}#jobs")
        + " — **Results**: "
        + _link("asset bucket", f"https://s3.console.aws.amazon.com/s3/buckets/{monitored.bucket.bucket_name}")
        + " — **Lost events**: "
        + _link("queue", f"{_CONSOLE}/sqs/v3/home?region={region}#/queues"),
        "Each widget and each alarm is explained in docs/dashboard.md.",
    ]
    return "\n\n".join(lines)


def _link(text: str, address: str) -> str:
    return f"[{text}]({address})"


def _in_address(name: str) -> str:
    """Write a name as the console has it behind the # of its addresses: quoted twice, with $ in the place of %."""
    return quote(quote(name, safe=""), safe="").replace("%", "$")
