"""What is shipped holds whatever it imports of this repository."""

from collections.abc import Iterable
from pathlib import Path

import grimp
import pytest

from gaitway.sources import FUNCTIONS, IMAGE, STACKS, dockerignore

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("package", "sources"),
    [
        ("gaitway.runner", IMAGE),
        ("gaitway.simulators", IMAGE),
        ("lambdas", FUNCTIONS),
        ("stacks", STACKS),
    ],
)
def test_what_is_imported_is_shipped(package: str, sources: Iterable[str]) -> None:
    imports = grimp.build_graph("gaitway", "lambdas", "stacks", cache_dir=None, exclude_type_checking_imports=True)
    needed = imports.find_upstream_modules(package, as_package=True)
    shipped = [ROOT / path for path in sources]

    missing = {name for name in needed if not any(_file(name).is_relative_to(path) for path in shipped)}

    assert needed
    assert missing == set()


@pytest.mark.parametrize("sources", [FUNCTIONS, IMAGE, STACKS])
def test_what_is_shipped_is_there(sources: Iterable[str]) -> None:
    assert [path for path in sources if not (ROOT / path).exists()] == []


def test_docker_ignores_the_rest() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == dockerignore()


def _file(module: str) -> Path:
    path = ROOT / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
