"""The job's image holds whatever the job imports of this repository."""

from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]


def test_what_the_job_imports_is_copied_into_its_image() -> None:
    imports = grimp.build_graph("container", "gaitway", cache_dir=None)
    needed = {
        name for name in imports.find_upstream_modules("container", as_package=True) if name.startswith("gaitway")
    }
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [ROOT / line[1:] for line in lines if line.startswith("!")]

    missing = [name for name in needed if not any(_file(name).is_relative_to(path) for path in copied)]

    assert needed
    assert missing == []


def _file(module: str) -> Path:
    path = ROOT / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
