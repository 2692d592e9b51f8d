"""What is shipped: which files of this checkout go to the functions, into the job's image, and into a deployment.

Everything else asks here: the code of the functions and the context of the image build (stacks/components), the version
of a deployment (gaitway/version.py), and .dockerignore, which a test compares with `dockerignore`.
"""

_SHARED = (
    "gaitway/__init__.py",
    "gaitway/aws",
    "gaitway/compute",
    "gaitway/contracts",
    "gaitway/formatting.py",
    "gaitway/libraries",
    "gaitway/names.py",
    "gaitway/outputs",
    "gaitway/packages",
    "gaitway/report",
    "gaitway/workloads",
)
FUNCTIONS = (
    *_SHARED,
    "container/requirements-embedded.txt",
    "container/requirements-isaaclab3.txt",
    "lambdas",
)
IMAGE = (
    *_SHARED,
    "container",
    "gaitway/agent",
    "gaitway/installation.py",
    "gaitway/instances",
    "gaitway/runner",
    "gaitway/simulators",
)
STACKS = (
    *FUNCTIONS,
    "app.py",
    "cdk.json",
    "constraints.txt",
    "gaitway/consoles.py",
    "gaitway/installation.py",
    "gaitway/instances",
    "gaitway/settings.py",
    "gaitway/sources.py",
    "gaitway/subnets.py",
    "gaitway/version.py",
    "lifecycle",
    "package-lock.json",
    "requirements.txt",
    "stacks",
    "statemachines",
)
"""Everything from which templates and functions are made, but for the settings."""

PACKAGE = (
    "LICENSE",
    "README.md",
    "gaitway",
    "pyproject.toml",
)
"""What `pip install` makes the command line from, for the controller of a cluster."""

_NOT_IN_THE_IMAGE = (
    "container/pin_isaaclab3.py",
    "container/pin_requirements.py",
    "container/update_pins.py",
    "**/__pycache__",
)


def dockerignore() -> list[str]:
    """List the patterns that leave of the checkout what the job's image is built from."""
    return ["*", *(f"!{path}" for path in sorted(IMAGE)), *_NOT_IN_THE_IMAGE]
