"""Where to look next: the dashboard's links into the console."""

from __future__ import annotations

from urllib.parse import quote

import aws_cdk as cdk
from constructs import Construct

from gaitway.consoles import CONSOLES
from stacks.components.monitored import Monitored


def links(scope: Construct, monitored: Monitored) -> str:
    """Write the links, in Markdown; where the console is depends on the partition that is deployed to."""
    domains = cdk.CfnMapping(
        scope, "Consoles", mapping={partition: {"domain": domain} for partition, domain in CONSOLES.items()}
    )
    names, region = monitored.names, cdk.Aws.REGION
    console = f"https://{region}.{domains.find_in_map(cdk.Aws.PARTITION, 'domain')}"
    logs = f"{console}/cloudwatch/home?region={region}#logsV2:"
    machines = [
        _link(
            names.machine(watched.definition),
            f"{console}/states/home?region={region}#/statemachines/view/{watched.machine.state_machine_arn}",
        )
        for watched in (monitored.pipeline, monitored.workflow)
    ]
    groups = [
        _link(group.rpartition("/")[2], f"{logs}log-groups/log-group/{_in_address(group)}")
        for group in (names.job_logs, *(names.logs(names.function(watched.verb)) for watched in monitored.functions))
    ]
    lines = [
        "# Gaitway" if names.is_default else f"# Gaitway: {names.deployment}",
        f"**Logs**: {' · '.join(groups)}",
        f"**State machines**: {' · '.join(machines)} — **Queries**: "
        + _link(f"saved in Logs Insights, under {names.deployment}", f"{logs}logs-insights")
        + " — **Jobs**: "
        + _link("AWS Batch", f"{console}/batch/home?region={region}#jobs")
        + " — **Results**: "
        + _link("asset bucket", f"{console}/s3/buckets/{monitored.bucket.bucket_name}?region={region}")
        + " — **Lost events**: "
        + _link("queue", f"{console}/sqs/v3/home?region={region}#/queues"),
        "Each widget and each alarm is explained in docs/dashboard.md.",
    ]
    return "\n\n".join(lines)


def _link(text: str, address: str) -> str:
    return f"[{text}]({address})"


def _in_address(name: str) -> str:
    """Write a name as the console does behind the # of its addresses: quoted twice, with $ instead of %."""
    return quote(quote(name, safe=""), safe="").replace("%", "$")
