"""What this installation has: a wheel holds no stacks and no examples, and torch and MiniStack come with extras."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

REPOSITORY_ROOT = Path(__file__).parents[1]
"""The checkout that contains this package; if it was installed from a wheel there is none, and this is only the folder
of the package."""


class NotInstalledError(ImportError):
    """This installation lacks what was asked of it; the message says what to install."""


def is_checkout() -> bool:
    """Return whether this package is in a checkout of the repository."""
    return (REPOSITORY_ROOT / "cdk.json").is_file()


def require_checkout(what: str) -> None:
    """Refuse what needs the stacks, the functions or the examples where they are not.

    Args:
        what: What needs them, as a message says it.

    Raises:
        NotInstalledError: This package was installed from a wheel.
    """
    if not is_checkout():
        raise NotInstalledError(
            f"{what} needs a checkout of the repository, and gaitway was installed without one, in {REPOSITORY_ROOT}: "
            "clone the repository, run `make setup` in it, and use the gaitway of its .venv/bin"
        )


@contextlib.contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Within this, import packages of an extra.

    Args:
        name: Name of the extra, as in pyproject.toml.
        what: What needs it, for the message.

    Raises:
        NotInstalledError: A package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        # An error in one of our imports, or in an installed package's own, is not a missing package.
        if not module or find_spec(module) is not None:
            raise
        raise NotInstalledError(_install(name, what, module)) from error


def require_extra(name: str, what: str, module: str) -> None:
    """Refuse what another process would need an extra for.

    Args:
        name: Name of the extra, as in pyproject.toml.
        what: What needs it, for the message.
        module: A module of the extra.

    Raises:
        NotInstalledError: It is missing.
    """
    if find_spec(module) is None:
        raise NotInstalledError(_install(name, what, module))


def _install(name: str, what: str, module: str) -> str:
    command = "make setup" if is_checkout() else f"pip install 'gaitway[{name}]'"
    return f"{what} needs {module}, which is not installed: run `{command}`"
