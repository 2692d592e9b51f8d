"""How a run went: the machines that it had, what each attempt did when, and what that cost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from gaitway.contracts.model import UserModel


class Machine(UserModel):
    """What an attempt ran on."""

    instance_type: str
    """`g6.2xlarge`; `local` on a developer's machine."""
    purchase: Literal["on-demand", "spot"] = "on-demand"
    nodes: Annotated[int, Field(ge=1)] = 1
    usd_per_hour: Annotated[float, Field(ge=0)] | None = None
    """Price of one node; None where it is not known. A Spot instance costs less than this, its on-demand price."""
    price_as_of: str | None = None
    """Date of the price list, or `setting`."""


class Cost(UserModel):
    """What a run has cost so far: the price of its machines times the time for which it had them."""

    usd: Annotated[float, Field(ge=0)]
    machine_seconds: Annotated[float, Field(ge=0)]
    """Over all nodes and attempts."""


class AttemptHistory(UserModel):
    """One attempt; of one that was killed, what it had written down until then."""

    number: Annotated[int, Field(ge=1)]
    """Counted over all jobs of the run, from 1."""
    machine: Machine | None = None
    queued_at: AwareDatetime | None = None
    """When it began to wait for a machine."""
    image_pull_began_at: AwareDatetime | None = None
    """None where nobody says, as on a developer's machine."""
    image_pull_ended_at: AwareDatetime | None = None
    began_at: AwareDatetime
    """When its runner began."""
    resumed_from: Annotated[int, Field(ge=0)] = 0
    """Iterations that earlier attempts had trained."""
    simulator_began_at: AwareDatetime | None = None
    first_progress_at: AwareDatetime | None = None
    """Its first iteration or episode."""
    simulator_ended_at: AwareDatetime | None = None
    uploaded_at: AwareDatetime | None = None
    """When its outputs were in S3, but for the files that tell of that."""
    last_seen_at: AwareDatetime
    """Its end, or the last that is known of it."""
    outcome: str | None = None
    """`succeeded`, or the name of an error; None of one that was killed, or goes on."""
    cost: Cost | None = None
    """Of this attempt alone."""


class RunHistory(UserModel):
    """`attempts.json`, in the run's directory."""

    accepted_at: AwareDatetime
    """When the run was asked for."""
    attempts: list[AttemptHistory]
