"""What AWS Batch answers, about jobs of either kind."""

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from gaitway.contracts.model import Model


class BatchAnswer(Model):
    """Batch's answer; it may have more fields at any time."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_alias=True, validate_by_name=True, extra="ignore", strict=False
    )
