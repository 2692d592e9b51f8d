"""The runner's permissions: only what its own run needs.

The job's role may assume one other role, which every run shares. A session has the permissions that both role and
session policy allow, and the session policy names this run's record, files and state machine.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, DeferredRefreshableCredentials
from botocore.exceptions import ClientError

from gaitway.aws.run_table import RunTable
from gaitway.contracts.backends import DEFAULT_BACKEND
from gaitway.contracts.model import S3Uri
from gaitway.contracts.run import RunRecord
from gaitway.runner.host.hosts import ACTIONS

if TYPE_CHECKING:
    from types_boto3_sts import STSClient
    from types_boto3_sts.type_defs import CredentialsTypeDef

logger = logging.getLogger(__name__)

_SECONDS = 3600
"""The longest that AWS allows when one role session assumes another role:
docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html"""
_POLICY_CHARACTERS = 2048
"""docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""
_PACKED_POLICY_TOO_LARGE = "PackedPolicyTooLarge"
"""AWS also limits a policy's size in a packed form, which it does not describe: only a call shows whether one fits.
docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""
_LONGEST_KEY = 1024
_SHORTEST_KEY = 64
"""48 of these are the key's end, which holds the callers' unique names of runs (UUIDs, of 36)."""
_BEYOND_ASCII = re.compile(r"[^\x20-\x7e]+")


class RunSession:
    """Clients of this run's own session, which is renewed as long as they are used.

    Args:
        role_arn: The role that runs share.
        run_id: The run.
        run_table: Name of the run table.
        metrics_namespace: Namespace of the deployment's metrics.
        config: Configuration of the clients that create the session.
    """

    def __init__(self, role_arn: str, run_id: str, run_table: str, metrics_namespace: str, config: Config) -> None:
        self._role_arn = role_arn
        self._run_id = run_id
        self._metrics_namespace = metrics_namespace
        sts = boto3.client("sts", config=config)
        # The run's permissions depend on its record, so the record is read in a session of its own.
        self._record = _session(sts, role_arn, run_id, lambda: iter([record_policy(run_id)]))
        self._table = RunTable(self._record.client("dynamodb", config=config), run_table)
        self._run = _session(sts, role_arn, run_id, self._policies)

    def client(self, service: str, config: Config) -> Any:  # noqa: ANN401 - the stubs know services by literal name only
        """Create a client with the permissions that this run needs of a service."""
        session: Any = self._record if service == "dynamodb" else self._run
        return session.client(service, config=config)

    def _policies(self) -> Iterator[str]:
        partition = self._role_arn.split(":")[1]
        return run_policies(self._table.get(self._run_id), partition, self._metrics_namespace)


def record_policy(run_id: str) -> str:
    """Allow the run's own items of the run table, including its tokens."""
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [run_id]}}
    return _policy({"Action": ["dynamodb:GetItem", "dynamodb:UpdateItem"], "Resource": "*", "Condition": own})


def run_policies(record: RunRecord | None, partition: str, metrics_namespace: str) -> Iterator[str]:
    """Allow reading a run's inputs, writing its outputs, publishing metrics, and answering its state machine.

    The caller's state machine is unknown here, so only heartbeats are allowed to it: only AWS knows which state
    machine a token belongs to.

    Args:
        record: The run's record.
        partition: Partition of ARNs: `aws`, or another one.
        metrics_namespace: Namespace of its metrics.

    Yields:
        The most exact policy that AWS's length limit allows, and then shorter ones. Each time long keys are cut to half
        their length, but never so far that they match other runs' files.
    """
    # Neither these nor CloudWatch's PutMetricData can be limited to a resource.
    statements: list[dict[str, Any]] = [
        {"Action": ["states:SendTaskHeartbeat", *ACTIONS.get(_backend(record), ())], "Resource": "*"},
        {
            "Action": ["cloudwatch:PutMetricData"],
            "Resource": "*",
            "Condition": {"StringEquals": {"cloudwatch:namespace": metrics_namespace}},
        },
    ]
    if record is None:
        yield _policy(*statements)
        return
    if record.execution is not None:
        answers = ["states:SendTaskSuccess", "states:SendTaskFailure"]
        statements.append({"Action": answers, "Resource": record.execution.machine_arn})
    if record.spec is None:
        yield _policy(*statements)
        return
    spec = record.spec
    inputs = [file.uri for file in spec.inputs.values()]
    length, shorter_than = _LONGEST_KEY, _POLICY_CHARACTERS + 1
    # With the KMS keys of their buckets, which the role names.
    keys = {"Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": "*"}
    while length >= _SHORTEST_KEY:
        files = _resource(partition, spec.output_files / "", length) + "*"
        read_write = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]
        of_files: list[dict[str, Any]] = [{"Action": read_write, "Resource": files}]
        if inputs:
            read = [_resource(partition, uri, length) for uri in inputs]
            of_files.append({"Action": ["s3:GetObject"], "Resource": read})
        policy = _policy(*statements, *of_files, keys)
        # Skip a policy that is not shorter than one that was too large.
        if len(policy) < shorter_than:
            yield policy
            shorter_than = len(policy)
        length //= 2


def _backend(record: RunRecord | None) -> str:
    return record.spec.compute.backend if record is not None and record.spec is not None else DEFAULT_BACKEND


def _resource(partition: str, uri: S3Uri, length: int) -> str:
    """Write an object's ARN, or the prefix of several, for a policy; a long key loses its middle."""
    # `${` begins a variable; a question mark matches any character.
    key = _BEYOND_ASCII.sub("*", uri.key).replace("$", "?")
    if len(key) > length:
        # Runs differ in the end of their keys.
        beginning = length // 4
        key = f"{key[:beginning]}*{key[beginning - length :]}"
    return f"arn:{partition}:s3:::{uri.bucket}/{key}"


def _policy(*statements: dict[str, Any]) -> str:
    allowed = [{"Effect": "Allow"} | statement for statement in statements]
    return json.dumps({"Version": "2012-10-17", "Statement": allowed}, separators=(",", ":"))


def _session(sts: STSClient, role_arn: str, run_id: str, policies: Callable[[], Iterator[str]]) -> boto3.Session:
    """Open a session with the first policy that AWS accepts, and renew it whenever it is about to expire."""

    def assume() -> dict[str, str]:
        too_large: ClientError | None = None
        for policy in policies():
            try:
                answer = sts.assume_role(
                    RoleArn=role_arn, RoleSessionName=run_id, Policy=policy, DurationSeconds=_SECONDS
                )["Credentials"]
            except ClientError as error:
                if error.response["Error"]["Code"] != _PACKED_POLICY_TOO_LARGE:
                    raise
                logger.warning("the session's policy of %d characters is too large: %s", len(policy), error)
                too_large = error
            else:
                return _credentials(answer)
        assert too_large is not None
        # A wider policy would match other runs.
        raise too_large

    session = botocore.session.Session()
    # The only provider, so that no other credentials are found by accident.
    session.register_component("credential_provider", CredentialResolver([_Assumed(assume)]))
    return boto3.Session(botocore_session=session)


def _credentials(answer: CredentialsTypeDef) -> dict[str, str]:
    return {
        "access_key": answer["AccessKeyId"],
        "secret_key": answer["SecretAccessKey"],
        "token": answer["SessionToken"],
        "expiry_time": answer["Expiration"].isoformat(),
    }


class _Assumed(CredentialProvider):
    METHOD = "assume-role"
    CANONICAL_NAME = "GaitwayRunSession"

    def __init__(self, assume: Callable[[], dict[str, str]]) -> None:
        super().__init__()
        self._assume = assume

    def load(self) -> DeferredRefreshableCredentials:
        """Return credentials that are fetched when needed."""
        return DeferredRefreshableCredentials(refresh_using=self._assume, method=self.METHOD)
