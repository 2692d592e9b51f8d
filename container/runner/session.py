"""What the runner may do: no more than its own run needs.

The job's role may assume one other role, which every run shares. What a session of it may do is what role and session
policy both allow, and the session policy names this run's record, files and state machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, DeferredRefreshableCredentials

from gaitway.aws.run_table import RunTable
from gaitway.contracts.metrics import NAMESPACE
from gaitway.contracts.model import S3Uri
from gaitway.contracts.run import RunRecord

if TYPE_CHECKING:
    from types_boto3_sts import STSClient

_SECONDS = 3600
"""As long as AWS allows where the credentials of one session ask for another:
docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html"""
_POLICY_CHARACTERS = 2048
"""docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""
_BEYOND_ASCII = re.compile(r"[^\x20-\x7e]+")


class RunSession:
    """Clients of this run's own session, which is renewed for as long as they are used.

    Args:
        role_arn: The role that runs share.
        run_id: The run.
        run_table: Name of the run table.
        config: How the clients behave that make the session.
    """

    def __init__(self, role_arn: str, run_id: str, run_table: str, config: Config) -> None:
        self._role_arn = role_arn
        self._run_id = run_id
        sts = boto3.client("sts", config=config)
        # What a run may do stands in its record, so that reading it is a session of its own.
        self._record = _session(sts, role_arn, run_id, lambda: record_policy(run_id))
        self._table = RunTable(self._record.client("dynamodb", config=config), run_table)
        self._run = _session(sts, role_arn, run_id, self._policy)

    def client(self, service: str, config: Config) -> Any:  # noqa: ANN401 - the stubs know services by literal name only
        """Make a client that may do what this run needs of a service."""
        session: Any = self._record if service == "dynamodb" else self._run
        return session.client(service, config=config)

    def _policy(self) -> str:
        partition = self._role_arn.split(":")[1]
        return run_policy(self._table.get(self._run_id), partition)


def record_policy(run_id: str) -> str:
    """Allow the run's own items of the run table, its tokens among them."""
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [run_id]}}
    return _policy({"Action": ["dynamodb:GetItem", "dynamodb:UpdateItem"], "Resource": "*", "Condition": own})


def run_policy(record: RunRecord | None, partition: str) -> str:
    """Allow to read a run's inputs, to write its outputs, to publish metrics, and to answer its state machine.

    The caller's machine is unknown here, and gets heartbeats only: a token says to nobody but AWS whose it is.

    Args:
        record: The run's.
        partition: Of ARNs: `aws`, or another one.
    """
    # Batch's DescribeJobs and CloudWatch's PutMetricData take no resource.
    statements: list[dict[str, Any]] = [
        {"Action": ["states:SendTaskHeartbeat", "batch:DescribeJobs"], "Resource": "*"},
        {
            "Action": ["cloudwatch:PutMetricData"],
            "Resource": "*",
            "Condition": {"StringEquals": {"cloudwatch:namespace": NAMESPACE}},
        },
    ]
    if record is None:
        return _policy(*statements)
    if record.execution_arn is not None:
        machine = record.execution_arn.replace(":execution:", ":stateMachine:").rpartition(":")[0]
        statements.append({"Action": ["states:SendTaskSuccess", "states:SendTaskFailure"], "Resource": machine})
    if record.spec is None:
        return _policy(*statements)
    spec = record.spec
    inputs = [uri for uri in (spec.policy, spec.resume_checkpoint, spec.custom_environment) if uri]
    length = 1024
    while True:
        files = _resource(partition, spec.output_files / "", length) + "*"
        read_write = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]
        of_files: list[dict[str, Any]] = [{"Action": read_write, "Resource": files}]
        if inputs:
            read = [_resource(partition, uri, length) for uri in inputs]
            of_files.append({"Action": ["s3:GetObject"], "Resource": read})
        policy = _policy(*statements, *of_files)
        if len(policy) <= _POLICY_CHARACTERS:
            return policy
        length //= 2


def _resource(partition: str, uri: S3Uri, length: int) -> str:
    """Write an object, or the beginning of several, as a policy does; a long key loses its middle."""
    # `${` begins a variable; a question mark stands for any character.
    key = _BEYOND_ASCII.sub("*", uri.key).replace("$", "?")
    if len(key) > length:
        key = f"{key[: length // 2]}*{key[-length // 2 :]}"
    return f"arn:{partition}:s3:::{uri.bucket}/{key}"


def _policy(*statements: dict[str, Any]) -> str:
    allowed = [{"Effect": "Allow"} | statement for statement in statements]
    return json.dumps({"Version": "2012-10-17", "Statement": allowed}, separators=(",", ":"))


def _session(sts: STSClient, role_arn: str, run_id: str, policy: Callable[[], str]) -> boto3.Session:
    """Open a session with a policy, anew whenever it is about to end."""

    def assume() -> dict[str, str]:
        answer = sts.assume_role(RoleArn=role_arn, RoleSessionName=run_id, Policy=policy(), DurationSeconds=_SECONDS)[
            "Credentials"
        ]
        return {
            "access_key": answer["AccessKeyId"],
            "secret_key": answer["SecretAccessKey"],
            "token": answer["SessionToken"],
            "expiry_time": answer["Expiration"].isoformat(),
        }

    session = botocore.session.Session()
    # The only provider: without it no other credentials are found by accident.
    session.register_component("credential_provider", CredentialResolver([_Assumed(assume)]))
    return boto3.Session(botocore_session=session)


class _Assumed(CredentialProvider):
    METHOD = "assume-role"
    CANONICAL_NAME = "GaitwayRunSession"

    def __init__(self, assume: Callable[[], dict[str, str]]) -> None:
        super().__init__()
        self._assume = assume

    def load(self) -> DeferredRefreshableCredentials:
        """Return credentials that are fetched when they are needed."""
        return DeferredRefreshableCredentials(refresh_using=self._assume, method=self.METHOD)
