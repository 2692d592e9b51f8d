"""The requests of CloudFormation to this function."""

from __future__ import annotations

from pydantic import ConfigDict
from pydantic.alias_generators import to_pascal

from gaitway.contracts.model import Model
from lambdas.custom_resource import CustomResourceEvent


class ImageProperties(Model):
    """The properties of the resource in its template."""

    model_config = ConfigDict(alias_generator=to_pascal, extra="ignore")

    project_name: str
    """The CodeBuild project."""
    repository_name: str
    """The repository that it pushes to."""
    target: str = "isaaclab"
    """The stage of the Dockerfile; a resource of a version with one image does not say it."""
    image_tag: str
    """The image's tag, which identifies the simulator and the sources."""


class ImageEvent(CustomResourceEvent):
    """One request."""

    resource_properties: ImageProperties
    build_id: str | None = None
    """Our own field: the build that an earlier call of this function has started."""

    @property
    def image(self) -> str:
        """Id of the resource; when the sources change, CloudFormation deletes the old one, which does nothing."""
        return f"{self.resource_properties.repository_name}:{self.resource_properties.image_tag}"
