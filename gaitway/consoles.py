"""Where the AWS console is."""

from __future__ import annotations

CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
"""Its domain in each partition, after the region: docs.aws.amazon.com/general/latest/gr/mgmt-console.html,
docs.amazonaws.cn/en_us/general/latest/gr/cnnorth_region.html"""
