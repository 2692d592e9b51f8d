"""What `gaitway generate` is asked for: by options, or by a YAML file that says the same."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import field_validator

from gaitway.contracts.backends import Backend
from gaitway.contracts.documents import check_document, shorten
from gaitway.contracts.errors import RequestError
from gaitway.contracts.model import UserModel
from gaitway.contracts.request import validate

_PATHS = ("request", "output")
_PLACE = ("local", "profile", "region")
"""They are chosen together: one of them on the command line replaces all in the file."""


class GenerateOptions(UserModel):
    """The keys of the file. Each is the option of the same name, and `request` is FILE."""

    request: object = None
    """Path of a request, or the request itself."""
    backend: Backend | None = None
    output: str = "generated"
    local: bool = False
    profile: str | None = None
    region: str | None = None
    deployment: str | None = None

    @field_validator("request")
    @classmethod
    def _is_path_or_request(cls, value: object) -> object:
        if not isinstance(value, str | dict):
            raise ValueError(  # noqa: TRY004 - pydantic reports a TypeError as a crash
                "which is neither a path nor a request: give the path of a JSON file, or the keys of a request below it"
            )
        return value

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a file; its paths are relative to its own directory.

        Raises:
            RequestError: It cannot be read, or is wrong: every wrong key with what is allowed, an unknown one with the
                nearest.
        """
        try:
            options = validate(cls, _load(file.read_text(encoding="utf-8-sig")))
        except OSError as error:
            raise RequestError(f"{file} cannot be read ({error.strerror}): give the path of a YAML file") from None
        except RequestError as error:
            raise RequestError(f"{file}: {error}") from None
        paths = {key: getattr(options, key) for key in _PATHS if key in options.model_fields_set}
        return options.model_copy(
            update={key: str(file.parent / path) for key, path in paths.items() if isinstance(path, str)}
        )

    def replaced_by(self, given: dict[str, Any]) -> Self:
        """Return the same with what the command line gives besides.

        Args:
            given: By name, what was given.
        """
        defaults = type(self)()
        place = {name: getattr(defaults, name) for name in _PLACE} if any(name in given for name in _PLACE) else {}
        return self.model_copy(update=place | given)


def _load(text: str) -> dict[str, Any]:
    """Read YAML without creating any object.

    Raises:
        RequestError: It is not YAML, holds no keys, or has one twice: all values but the last would be lost.
    """
    try:
        document: object = yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a safe one
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise RequestError(f"it is not valid YAML ({' '.join(str(error).split())}): correct it there") from None
    check_document("it", document)
    if not isinstance(document, dict):
        raise RequestError(f"it holds {shorten(document)}, allowed: keys, as `backend: hyperpod-slurm`")
    return document


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, as we do in JSON."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Construct a mapping."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {twice!r} stands twice: keep one", node.start_mark
            )
        return super().construct_mapping(node, deep)
