"""What MiniStack lacks, registered with it from outside.

An extension is a module with `register()`, which puts its parts into MiniStack's tables before the first request.
"""

from importlib.metadata import version

from gaitway.local.extensions import (
    batch,
    cloudformation,
    codebuild,
    default_groups,
    event_targets,
    iam,
    idle_functions,
    instance_metadata,
    lambda_files,
    lambda_interpreter,
    lambda_quotas,
    lambda_updates,
    marks,
    pod_identity,
    sagemaker,
    saved_queries,
    schedules,
    size_quotas,
    stepfunctions,
    throttled_events,
)
from gaitway.local.runtime import Runtime
from gaitway.local.services import Response

MINISTACK_VERSION = "1.5.33"
"""The only version whose internal tables are known to be as the extensions expect."""


class MiniStackVersionError(Exception):
    """Another version of MiniStack is installed."""


def check_version(installed: str) -> None:
    """Refuse any other version of MiniStack than the one that the extensions were written for.

    Raises:
        MiniStackVersionError: It is another one.
    """
    if installed != MINISTACK_VERSION:
        raise MiniStackVersionError(
            f"the embedded AWS needs ministack {MINISTACK_VERSION}, but {installed} is installed; "
            "run `pip install -r requirements.txt -c constraints.txt`"
        )


def register_all(runtime: Runtime) -> None:
    """Add every extension to MiniStack."""
    check_version(version("ministack"))
    batch.register(runtime)
    cloudformation.register()
    codebuild.register(runtime)
    default_groups.register()
    # Before the checks of policies, which are put in front of it.
    event_targets.register()
    idle_functions.register()
    iam.register()
    lambda_files.register(runtime)
    lambda_interpreter.register(runtime)
    lambda_quotas.register()
    lambda_updates.register()
    marks.register()
    sagemaker.register(runtime)
    saved_queries.register()
    schedules.register()
    size_quotas.register()
    stepfunctions.register()
    throttled_events.register()


def answer(path: str) -> Response | None:
    """Answer a request for no AWS service: to the ECS agent, a node's metadata, EKS's pod identity, or a test's."""
    others = (batch.service().jobs.agent, instance_metadata, pod_identity, sagemaker)
    return next((found for other in others if (found := other.answer(path)) is not None), None)


def start_all() -> None:
    """Begin background work, once MiniStack has restored its state."""
    batch.start()
    sagemaker.start()


def shut_down_all() -> None:
    """End background work, before MiniStack saves its state."""
    batch.shut_down()
