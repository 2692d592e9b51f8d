"""How a command ends: its exit code, and for every error one sentence with a next step."""

from __future__ import annotations

from enum import IntEnum

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
)
from botocore.exceptions import (
    ConnectionError as BotocoreConnectionError,
)
from rich.console import Console

from gaitway.client.deployment import NotDeployedError
from gaitway.client.files import NoResultsError
from gaitway.client.logs import LogNotFoundError
from gaitway.client.runs import RunNotFoundError
from gaitway.contracts.errors import GaitwayError, RequestError
from gaitway.installation import NotInstalledError
from gaitway.local.cdk import DeployError
from gaitway.local.server_process import ServerStartError


class Exit(IntEnum):
    """Exit codes."""

    DONE = 0
    FAILED = 1
    """The run failed or was cancelled, or any other error without its own code."""
    USAGE = 2
    """The command line or the request is wrong; nothing was started."""
    NOT_FOUND = 3
    """The run, result, log or deployment does not exist, or the embedded AWS is not up."""
    AWS = 4
    """AWS refused or could not be reached: credentials, permissions, network."""
    INTERRUPTED = 130
    """Ctrl-C. A run that was watched continues."""


EXIT_CODES = (
    "Exit codes: 0 done. 1 the run failed or was cancelled, doctor found something, or not every check of acceptance "
    "passed. 2 the command or the "
    "request is wrong, nothing was started. 3 no such run, result or deployment exists. 4 AWS refused, or cannot be "
    "reached. 130 interrupted; the run continues."
)


class UsageProblemError(Exception):
    """The command line has options that cannot be combined."""


class NotUpError(Exception):
    """The embedded AWS cannot be used."""


HANDLED = (
    GaitwayError,
    DeployError,
    NotDeployedError,
    NotInstalledError,
    ServerStartError,
    Boto3Error,
    BotoCoreError,
    ClientError,
    NoResultsError,
    LogNotFoundError,
    RunNotFoundError,
    UsageProblemError,
    NotUpError,
    OSError,
)
"""Errors that `explain` has messages for. Any other is a bug of ours, whose traceback should be shown."""

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_UNKNOWN = frozenset({"UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", "AuthFailure"})
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})
_LOG_IN = "log in again (`aws sso login`, or new keys), or choose another --profile"


def explain(error: BaseException) -> tuple[Exit, str]:
    """Return the exit code and the message of a command that raised an error.

    Args:
        error: One of `HANDLED`.
    """
    if isinstance(error, RequestError | NotInstalledError | UsageProblemError):
        return Exit.USAGE, str(error)
    if isinstance(error, NotDeployedError | NotUpError | NoResultsError | LogNotFoundError | RunNotFoundError):
        return Exit.NOT_FOUND, str(error)
    if isinstance(error, ClientError):
        return Exit.AWS, _client_error(error)
    if isinstance(error, BotoCoreError):
        return Exit.AWS, _botocore_error(error)
    if isinstance(error, Boto3Error):
        return Exit.AWS, f"{error}: check the network and the permissions, and try again"
    if isinstance(error, GaitwayError):
        return Exit.FAILED, str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return Exit.USAGE, f"{error.filename}: {error.strerror}. Give another path"
    return Exit.FAILED, str(error) or type(error).__name__


def tell(message: str) -> None:
    """Write an error for a person, on stderr and in one line, however narrow the terminal."""
    Console(stderr=True).print(f"Error: {message}", style="red", markup=False, highlight=False, soft_wrap=True)


def _client_error(error: ClientError) -> str:
    code = error.response["Error"]["Code"]
    if code in _EXPIRED:
        return f"the credentials have expired: {_LOG_IN}"
    if code in _UNKNOWN:
        return f"AWS does not know these credentials ({code}): {_LOG_IN}"
    message = error.response["Error"].get("Message", "")
    if code in _DENIED:
        return (
            f"these credentials may not call {error.operation_name} ({message}): request that permission, or choose "
            "another --profile"
        )
    return f"{error.operation_name} was refused ({code}: {message}). Try again"


def _botocore_error(error: BotoCoreError) -> str:
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return (
            "there are no AWS credentials: give --profile or run `aws configure`; for the embedded AWS of this machine "
            "run `gaitway local up`, and give --local"
        )
    if isinstance(error, ProfileNotFound):
        return f"{error}: `aws configure list-profiles` lists those that there are"
    if isinstance(error, NoRegionError):
        return "no region is set: give --region, or set AWS_REGION"
    if isinstance(error, SSOError | CredentialRetrievalError):
        return f"the credentials could not be obtained ({error}): {_LOG_IN}"
    if isinstance(error, BotocoreConnectionError | HTTPClientError):
        return f"AWS cannot be reached ({error}): check the network, proxies and --region; active runs continue"
    return f"{error}. Check --profile and --region"
