"""The deployment that is checked, and what the checks share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from gaitway.acceptance.check import NotShownError
from gaitway.client.deployment import Deployment, physical_ids
from gaitway.client.runs import Runs
from gaitway.commands import DEFAULT_COMMANDS, Commands
from gaitway.compute.sizes import FURTHER_BACKENDS
from gaitway.contracts.backends import DEFAULT_BACKEND

if TYPE_CHECKING:
    from pathlib import Path

    import boto3

    from gaitway.acceptance.trials import Trial
    from gaitway.client.runs import StartedRun
    from gaitway.contracts.backends import Backend
    from gaitway.contracts.run import RunRecord


class Progress(Protocol):
    """Shows how it goes."""

    def following(self, label: str) -> AbstractContextManager[Callable[[RunRecord], None]]:
        """Show a run: what is given is called with its record, each time that this was read."""
        ...

    def waiting(self, text: str) -> AbstractContextManager[object]:
        """Show that something is waited for."""
        ...


@dataclass(frozen=True)
class Size:
    """The size of the checks' runs."""

    task: str
    num_envs: int | None
    """None: the request's default."""
    iterations: int
    """Iterations of a training that runs to its end."""
    interrupted_iterations: int
    """Of one that is interrupted on its way."""
    stopped_iterations: int
    """Of one that is stopped on its way."""
    checkpoint_interval: int
    """Of these two."""
    episodes: int


IN_ACCOUNT = Size(
    task="Isaac-Cartpole-v0",
    num_envs=None,
    iterations=50,
    # Some minutes: a Spot instance is interrupted two minutes after the notice.
    interrupted_iterations=4_000,
    stopped_iterations=20_000,
    checkpoint_interval=100,
    episodes=50,
)
EMBEDDED = Size(
    task="Isaac-Cartpole-Direct-v0",
    num_envs=16,
    iterations=3,
    interrupted_iterations=150,
    # Below the number of iterations that has a pre-flight.
    stopped_iterations=999,
    checkpoint_interval=10,
    episodes=10,
)


@dataclass
class Site:
    """A deployment under test.

    Args:
        session: Where clients come from.
        deployment: What `cdk deploy` left.
        is_embedded: Whether it is the embedded AWS of this machine.
        progress: Shows how it goes.
        directory: Where files of runs are fetched to.
        fis_role: Role with which the AWS Fault Injection Service may interrupt Spot instances; None to terminate them.
        commands: Writes the commands that are suggested.
    """

    session: boto3.Session
    deployment: Deployment
    is_embedded: bool
    progress: Progress
    directory: Path
    fis_role: str | None = None
    commands: Commands = DEFAULT_COMMANDS
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: list[StartedRun] = field(default_factory=list)
    """Every run that a check has started."""
    trials: dict[str, Trial] = field(default_factory=dict)
    """Runs that have succeeded, by the check."""

    def client(self, service: str) -> Any:  # noqa: ANN401 - the stubs know services by literal name only
        """Return a client of a service."""
        create: Any = self.session.client
        return create(service)

    @cached_property
    def runs(self) -> Runs:
        """The deployment's runs."""
        return Runs(self.session, self.deployment, self.commands)

    @cached_property
    def backends(self) -> tuple[Backend, ...]:
        """What the deployment can run jobs on, as submit_job knows it."""
        return (DEFAULT_BACKEND, *json.loads(self.job_variables.get(FURTHER_BACKENDS, "{}")))

    @cached_property
    def job_variables(self) -> Mapping[str, str]:
        """Where jobs are, as the environment of submit_job says it."""
        function = self.commands.names.function("submit_job")
        configuration = self.client("lambda").get_function_configuration(FunctionName=function)
        variables: dict[str, str] = configuration["Environment"]["Variables"]
        return variables

    @property
    def size(self) -> Size:
        """How much runs do there."""
        return EMBEDDED if self.is_embedded else IN_ACCOUNT

    def resources(self, resource_type: str) -> list[str]:
        """List what the stacks have of one type, by the names that it got."""
        cloudformation = self.client("cloudformation")
        stacks = self.commands.names.stacks
        return [name for stack in stacks for name in physical_ids(cloudformation, stack, resource_type)]

    def trial(self, check: str) -> Trial:
        """Return the run of a check that has passed.

        Raises:
            NotShownError: It has no run.
        """
        if check not in self.trials:
            raise NotShownError(f"{check} has no run to look at")
        return self.trials[check]
