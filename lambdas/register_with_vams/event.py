"""The requests of CloudFormation to this function."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from gaitway.contracts.vams import Registration
from lambdas.custom_resource import CustomResourceEvent


class RegistrationProperties(Registration):
    """The properties of the resource in its template."""

    model_config = ConfigDict(extra="ignore")  # CloudFormation adds its own, as `ServiceToken`

    import_function_name: str = Field(exclude=True)
    """VAMS's function."""


class RegistrationEvent(CustomResourceEvent):
    """One request."""

    resource_properties: RegistrationProperties
