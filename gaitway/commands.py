"""Commands that a message suggests: they go to the place and to the deployment that the message is about."""

from __future__ import annotations

from dataclasses import dataclass

from gaitway.names import DEFAULT_NAMES, Names


@dataclass(frozen=True)
class Commands:
    """Writes the commands.

    Args:
        names: Names of the deployment.
        profile: The AWS profile that was given; None where none was.
        region: The AWS region that was given.
        is_embedded: Whether it is in the embedded AWS of this machine.
        has_other_default: Whether a command without `--deployment` would mean another deployment than `gaitway`.
    """

    names: Names = DEFAULT_NAMES
    profile: str | None = None
    region: str | None = None
    is_embedded: bool = False
    has_other_default: bool = False

    @property
    def place(self) -> str:
        """The options that direct a command of ours, or of AWS's, to the deployment."""
        if self.is_embedded:
            return " --local"
        return self._profile + (f" --region {self.region}" if self.region else "")

    def gaitway(self, text: str) -> str:
        """Write a command of ours: `gaitway show RUN` and the options."""
        return f"gaitway {text}{self.place}{self._deployment}"

    @property
    def deploy(self) -> str:
        """What deploys the deployment there."""
        if self.is_embedded:
            return f"gaitway local up{self._deployment}"
        # The CDK's command line has no option for the region: docs.aws.amazon.com/cdk/v2/guide/configure-env.html
        region = f"AWS_REGION={self.region} " if self.region else ""
        name = "" if self.names.is_default else f" -c deploymentName={self.names.deployment}"
        return f"{region}cdk deploy --all{name}{self._profile}"

    @property
    def _profile(self) -> str:
        return f" --profile {self.profile}" if self.profile else ""

    @property
    def _deployment(self) -> str:
        return f" --deployment {self.names.deployment}" if self.has_other_default else self.names.option


DEFAULT_COMMANDS = Commands()
"""Where nothing was chosen."""
