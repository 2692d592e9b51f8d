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

from gaitway.contracts.errors import GaitwayError, RequestError
from gaitway.deployment import NotDeployedError
from gaitway.local.cdk import DeployError
from gaitway.local.server_process import ServerStartError
from gaitway.run_files import NoResultsError
from gaitway.run_logs import LogNotFoundError
from gaitway.runs import RunNotFoundError


class Exit(IntEnum):
    """Exit codes."""

    DONE = 0
    FAILED = 1
    """The run failed or was cancelled, or something went wrong that has no code of its own."""
    USAGE = 2
    """The command line or the request is wrong; nothing was started."""
    NOT_FOUND = 3
    """There is no such run, result, log, deployment, or the embedded AWS is not up."""
    AWS = 4
    """AWS refused or could not be reached: credentials, permissions, network."""
    INTERRUPTED = 130
    """Ctrl-C. A run that was watched goes on."""


EXIT_CODES = (
    "Exit codes: 0 done. 1 the run failed or was cancelled, or doctor found something. 2 the command or the "
    "request is wrong, nothing was started. 3 there is no such run, result or deployment. 4 AWS refused, or cannot be "
    "reached. 130 interrupted; the run goes on."
)


class UsageProblemError(Exception):
    """The command line asks for what does not go together."""


class NotUpError(Exception):
    """The embedded AWS is not there to be used."""


HANDLED = (
    GaitwayError,
    DeployError,
    NotDeployedError,
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
"""What `explain` has words for. Anything else is a mistake of ours, and its traceback is wanted."""

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_UNKNOWN = frozenset({"UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", "AuthFailure"})
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})
_LOG_IN = "log in again (`aws sso login`, or new keys), or choose another --profile"


def explain(error: BaseException) -> tuple[Exit, str]:
    """Say how a command ends that met an error, and what to tell.

    Args:
        error: One of `HANDLED`.
    """
    if isinstance(error, RequestError | UsageProblemError):
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
            f"these credentials may not call {error.operation_name} ({message}): ask for that permission, or choose "
            "another --profile"
        )
    return (
        f"{error.operation_name} was refused ({code}: {message}). Try again; `gaitway show RUN` says how a run stands"
    )


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
        return f"the credentials cannot be had ({error}): {_LOG_IN}"
    if isinstance(error, BotocoreConnectionError | HTTPClientError):
        return f"AWS cannot be reached ({error}): check the network, proxies and --region; runs go on meanwhile"
    return f"{error}. Check --profile and --region"
