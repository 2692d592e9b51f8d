"""What AWS charges for a run: list prices of us-east-1 in USD, without free tiers, looked up on 2026-11-21.

Prices change: check the addresses before you rely on them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

AS_OF = "2026-11-21"
STATE_TRANSITION = 0.025 / 1_000
"""aws.amazon.com/step-functions/pricing, Standard"""
LAMBDA_REQUEST = 0.20 / 1_000_000
LAMBDA_GB_SECOND = 0.0000166667
"""aws.amazon.com/lambda/pricing, x86"""
WRITE_UNIT = 0.625 / 1_000_000
READ_UNIT = 0.125 / 1_000_000
"""aws.amazon.com/dynamodb/pricing/on-demand"""
S3_WRITE = 0.005 / 1_000
S3_READ = 0.0004 / 1_000
"""aws.amazon.com/s3/pricing, Standard; a list counts as a write"""
LOG_GB = 0.50
"""aws.amazon.com/cloudwatch/pricing, ingestion"""
METRIC_MONTH = 0.30
"""Same page, for each of the first 10,000 custom metrics, by the hour in which it has a value"""
METRIC_REQUEST = 0.01 / 1_000
"""Same page, PutMetricData"""
HOURS_A_MONTH = 730

_WRITE_UNIT_BYTES = 1_024
_READ_UNIT_BYTES = 4_096


@dataclass(frozen=True)
class Use:
    """What a run uses."""

    state_transitions: float
    lambda_invocations: float
    lambda_gb_seconds: float
    write_units: float
    read_units: float
    s3_writes: float
    s3_reads: float
    log_bytes: float

    def costs(self) -> dict[str, float]:
        """Price each service, in USD."""
        return {
            "Step Functions": self.state_transitions * STATE_TRANSITION,
            "Lambda": self.lambda_invocations * LAMBDA_REQUEST + self.lambda_gb_seconds * LAMBDA_GB_SECOND,
            "DynamoDB": self.write_units * WRITE_UNIT + self.read_units * READ_UNIT,
            "S3 requests": self.s3_writes * S3_WRITE + self.s3_reads * S3_READ,
            "CloudWatch Logs": self.log_bytes / 1e9 * LOG_GB,
        }


def write_units(item_bytes: int, *, transaction: bool = False) -> int:
    """Return the write units of an item.

    docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
    """
    return math.ceil(item_bytes / _WRITE_UNIT_BYTES) * (2 if transaction else 1)


def read_units(item_bytes: int) -> int:
    """Return the read units of a strongly consistent read of an item; same page."""
    return max(1, math.ceil(item_bytes / _READ_UNIT_BYTES))
