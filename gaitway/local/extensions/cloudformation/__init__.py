"""CloudFormation resource types that MiniStack lacks."""


def register() -> None:
    """Add the resource types to MiniStack's table."""
