"""Failures of a build that are recognised by the messages of CodeBuild and Docker, with what to do about them.

The first entry that matches anywhere decides, so that more specific entries come first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class KnownFailure:
    """A failure that has been seen before."""

    pattern: re.Pattern[str]
    """Searched for in each line."""
    cure: str
    """What it means, and what to do: one sentence, without its full stop."""


def _known(pattern: str, cure: str) -> KnownFailure:
    return KnownFailure(re.compile(pattern, re.IGNORECASE), cure)


_REFUSED = r"(401 Unauthorized|unauthorized: |403 Forbidden|pull access denied|requested access .* is denied)"

KNOWN_FAILURES = (
    _known(
        r"AccessDenied.*GetSecretValue operation",
        "the build may not read the secret that ngcSecretArn names: a secret of another account must allow the build's "
        "role in its resource policy, and so must the policy of a customer managed key that encrypts it",
    ),
    _known(
        r"GetSecretValue operation: ",
        "the secret that ngcSecretArn names has no value that could be read: check its ARN, with its last six "
        "characters, and that it is not marked for deletion",
    ),
    _known(
        r"daemon: (Get \"?https://nvcr\.io/v2/\"?: (unauthorized|denied)|login attempt to https://nvcr\.io/v2/ failed)",
        "nvcr.io does not take the API key in the secret that ngcSecretArn names: the secret's value must be the key "
        "alone, as text and not as JSON; create a new key at org.ngc.nvidia.com if it has expired, and deploy again",
    ),
    _known(
        r"nvcr\.io.*(429 Too Many Requests|toomanyrequests)",
        "nvcr.io accepts no more requests from this address for now: wait for an hour and deploy again, or set "
        "ngcSecretArn, with which an account of your own is counted",
    ),
    _known(
        rf"nvcr\.io.*{_REFUSED}|failed to (authorize|fetch anonymous token)(?!.*docker\.io).*{_REFUSED}",
        "nvcr.io does not serve the base image without an account now: create an API key at org.ngc.nvidia.com, store "
        "it as text in AWS Secrets Manager and set ngcSecretArn to the secret's ARN. If it is set, the key's account "
        "has no access to this image",
    ),
    _known(
        r"nvcr\.io/[\w./:-]+: (not found|manifest unknown)|manifest for nvcr\.io.* not found",
        "nvcr.io has no such image any more: build on another one, or set containerImageUri to your own image",
    ),
    _known(
        r"public\.ecr\.aws.*(toomanyrequests|429)|toomanyrequests: Rate exceeded",
        "ECR Public accepts no more requests from this address for now: wait for ten minutes and deploy again",
    ),
    _known(
        r"docker\.(io|com).*(toomanyrequests|429 Too Many Requests)|You have reached your .*pull rate limit",
        "Docker Hub accepts no more requests from this address for now: wait for six hours and deploy again, or build "
        "on a copy of the image in ECR",
    ),
    _known(
        r"Cannot have more than [0-9]+ (active )?builds",
        "the account's quota lets CodeBuild run no build of this size now: wait until other builds have ended, or ask "
        "for a higher quota of CodeBuild's Linux/Large builds in Service Quotas (a new account may have 0), and deploy "
        "again",
    ),
    _known(
        r"(kms:Decrypt|KMS\.?\w*Exception)|not authorized to perform: kms:",
        "the key of the CDK's bootstrap bucket does not let the build read its sources: allow the account's roles "
        "kms:Decrypt through S3 in the key's policy",
    ),
    _known(
        r"no space left on device",
        "the disk of the build is full: build on a smaller base image, or set containerImageUri to your own image",
    ),
    _known(
        r"(not authorized to perform|explicit deny).*ecr:|denied: User: .*ecr:",
        "a policy of the account (a permissions boundary or a service control policy) denies the build access to the "
        "image repository: allow what the message names, and deploy again",
    ),
    _known(
        r"(Temporary failure in name resolution|Could not resolve host|Connection timed out|TLS handshake timeout"
        r"|i/o timeout|Read timed out|unexpected EOF|50[0234] (Bad Gateway|Service Unavailable|Gateway Time-?out))",
        "a server that the build downloads from was not reached: deploy again, and if it comes again, look which "
        "address the line names",
    ),
    _known(
        r"No matching distribution found for|Could not find a version that satisfies",
        "a library is not on the package index in the version that container/requirements*.txt pins: pin one that is, "
        "or look at the index",
    ),
)


def cure_of(lines: Iterable[str]) -> str | None:
    """Return what to do about the failure in some lines; None if it is not known."""
    text = list(lines)
    return next((known.cure for known in KNOWN_FAILURES if any(known.pattern.search(line) for line in text)), None)
