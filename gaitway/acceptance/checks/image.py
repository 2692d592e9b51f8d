"""The image that jobs run in is there, and is named by its digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaitway.acceptance.check import Check, CheckFailedError, Effort, Findings, NotShownError
from gaitway.compute.batch_image import ECR_IMAGE, active_definitions, image_of, is_in_registry

if TYPE_CHECKING:
    from gaitway.acceptance.site import Site


def judge_image(images: dict[str, bool], deploy: str) -> str | None:
    """Return what is wrong with the images of the job definitions; None if nothing is.

    Args:
        images: Each image, and whether its registry has it.
        deploy: The command that deploys.

    Raises:
        NotShownError: An image is in a registry that cannot be checked.
    """
    if not images:
        return f"no job definition is active: run `{deploy}`"
    for image, is_there in images.items():
        match = ECR_IMAGE.fullmatch(image)
        if match is None:
            raise NotShownError(
                f"{image} is not in ECR (containerImageUri): the trainings show whether it can be pulled"
            )
        if match["digest"] is None:
            return f"a job definition names {image} by a tag, which may mean another image tomorrow"
        if not is_there:
            return f"{image} does not exist: run `{deploy}`, which builds it"
    return None


def _run(site: Site, findings: Findings) -> None:
    ecr = site.client("ecr")
    images: dict[str, bool] = {}
    for definition in active_definitions(site.client("batch"), site.resources("AWS::Batch::JobDefinition")):
        image = image_of(definition)
        findings.note(f"{definition['jobDefinitionName']}:{definition['revision']}", image)
        if image not in images:
            match = ECR_IMAGE.fullmatch(image)
            images[image] = match is not None and is_in_registry(ecr, match)
    if problem := judge_image(images, site.commands.deploy):
        raise CheckFailedError(problem)


CHECK = Check(
    name="image",
    title="The image that was built is what jobs run in",
    effort=Effort(minutes=0.1),
    leaves="nothing",
    run=_run,
    not_here="jobs are processes of this machine, and no image is built",
)
