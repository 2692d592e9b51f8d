"""What a caller asks for, independent of the kind of caller.

Each kind of caller has an adapter that reads what it sends into these models (VAMS: `gaitway.contracts.vams_message`);
all code after launch knows only these models.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from gaitway.contracts.model import Model, Received, S3UriField


class Caller(Received):
    """The kind of caller, and what it needs of the outputs."""

    kind: str
    """Kind of caller: selects the adapter that reads its messages, and the sink that publishes the outputs to it."""
    refused_suffixes: list[str] = Field(default_factory=list)
    """Suffixes of files that the caller does not accept."""


class Message(Received):
    """What a caller asked for."""

    caller: Caller
    request: dict[str, Any] | str | None = None
    """The parameters of the run, as an object or its JSON text."""
    request_file: S3UriField | None = None
    """A JSON file, whose content overrides them."""
    input_file: S3UriField | None = None
    """The file that the run works on: to evaluate, a checkpoint or a file beside one."""
    folders: list[S3UriField] = Field(default_factory=list)
    """Where a relative path of the request is searched for, in this order."""
    output_files: S3UriField
    """Prefix of the run's outputs."""
    output_metadata: S3UriField | None = None
    """Prefix for the metadata documents of the output files: each is named after its file."""
    shares_outputs: bool = False
    """Whether other runs write to the same prefixes, so that the run needs a folder of its own there."""


class ReceivedMessage(Model):
    """A message, the run that it means, and the token of the task that waits for the run."""

    message: Message
    run_id: str
    """The same for each request for the same run."""
    digest: Annotated[str, Field(min_length=1)]
    """Of the whole message: distinguishes a repeated request from a different one for the same run."""
    task_token: Annotated[str, Field(min_length=1, repr=False)]
