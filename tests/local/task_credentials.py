"""Credentials for runners that no AWS Batch has started, given as the ECS agent gives them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from gaitway.local.extensions.batch.ecs_agent import credentials_document
from tests.serving import answering


@contextmanager
def task_credentials() -> Iterator[str]:
    """Give out credentials of the emulator's own account for as long as this is entered.

    Returns:
        The value of AWS_CONTAINER_CREDENTIALS_FULL_URI.
    """
    document = credentials_document("arn:aws:iam::000000000000:root", "test", "test", "token")
    with answering({"/credentials": json.dumps(document)}) as address:
        yield f"{address}/credentials"
