"""How a run went: its machines, what each attempt did and when, and what that cost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from gaitway.contracts.model import Document, Stored, UserModel


class Machine(UserModel, Stored):
    """What an attempt ran on."""

    instance_type: str
    """`g6.2xlarge`; `local` on a developer's machine."""
    instance_id: str | None = None
    """Id of the instance, with which `gaitway view` reaches it; None on a developer's machine."""
    purchase: Literal["on-demand", "spot"] = "on-demand"
    nodes: Annotated[int, Field(ge=1)] = 1
    usd_per_hour: Annotated[float, Field(ge=0)] | None = None
    """Price of one node; None if it is not known. It is the on-demand price: a Spot instance costs less."""
    price_as_of: str | None = None
    """Date of the price list, or `setting`."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Part of each node that the run pays for: on a cluster, whose nodes several runs share, that of its GPUs."""


class Cost(UserModel, Stored):
    """What a run has cost so far: the price of its machines times the time for which it used them."""

    usd: Annotated[float, Field(ge=0)]
    machine_seconds: Annotated[float, Field(ge=0)]
    """Over all nodes and attempts."""


class AttemptHistory(UserModel, Stored):
    """One attempt; if it was killed, what it had recorded until then."""

    number: Annotated[int, Field(ge=1)]
    """Counted over all jobs of the run, from 1."""
    machine: Machine | None = None
    queued_at: AwareDatetime | None = None
    """When it began to wait for a machine."""
    image_pull_began_at: AwareDatetime | None = None
    """None where no service reports it, as on a developer's machine."""
    image_pull_ended_at: AwareDatetime | None = None
    began_at: AwareDatetime
    """When its runner started."""
    resumed_from: Annotated[int, Field(ge=0)] = 0
    """Iterations that earlier attempts had trained."""
    with_cameras: bool = False
    """Whether the simulator ran with cameras because Isaac Lab said that the task needs them: the request left it
    open."""
    simulator_began_at: AwareDatetime | None = None
    first_progress_at: AwareDatetime | None = None
    """Its first iteration or episode."""
    simulator_ended_at: AwareDatetime | None = None
    uploaded_at: AwareDatetime | None = None
    """When its outputs were in S3, except the files that record this time."""
    last_seen_at: AwareDatetime
    """Its end, or the last time at which it was known to run."""
    outcome: str | None = None
    """`succeeded`, or the name of an error; None if it was killed, or still runs."""
    cost: Cost | None = None
    """Of this attempt alone."""


class RunHistory(UserModel, Document):
    """`attempts.json`, in the run's directory."""

    accepted_at: AwareDatetime
    """When the run was requested."""
    attempts: list[AttemptHistory]
