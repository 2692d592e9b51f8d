"""A container as its job definition and its submission together say."""

from gaitway.local.extensions.batch.container import substitute_parameters
from gaitway.local.extensions.batch.model import Container
from gaitway.local.services import Json


def container_of(properties: Json, overrides: Json, parameters: dict[str, str]) -> Container:
    """Put overrides over container properties, and parameters into the command."""
    environment = {item["name"]: item.get("value", "") for item in properties.get("environment", [])}
    environment |= {item["name"]: item.get("value", "") for item in overrides.get("environment", [])}
    needs = {item["type"]: item["value"] for item in properties.get("resourceRequirements", [])}
    needs |= {item["type"]: item["value"] for item in overrides.get("resourceRequirements", [])}
    command = overrides.get("command") or properties.get("command", [])
    return Container.model_validate(
        {
            **properties,
            "command": substitute_parameters(command, parameters),
            "environment": [{"name": name, "value": value} for name, value in environment.items()],
            "resourceRequirements": [{"type": kind, "value": str(value)} for kind, value in needs.items()],
        }
    )
