"""A checkout's version tells whatever a deployment is made of."""

import re
from pathlib import Path

import pytest

from gaitway import version
from gaitway.sources import IMAGE, STACKS


def test_it_names_the_release_and_the_sources() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\+[0-9a-f]{8}", version.checkout_version())


@pytest.mark.parametrize(
    ("name", "is_deployed"),
    [
        ("stacks/components/a.py", True),
        ("lambdas/a/handler.py", True),
        ("statemachines/a.py", True),
        ("container/Dockerfile", True),
        ("gaitway/settings.py", True),
        ("gaitway/cli/a.py", False),
        ("docs/a.md", False),
        ("lambdas/__pycache__/a.pyc", False),
    ],
)
def test_whatever_is_deployed_changes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, is_deployed: bool
) -> None:
    monkeypatch.setattr(version, "REPOSITORY_ROOT", tmp_path)
    sources = {*STACKS, *IMAGE}
    before = version.digest_of(sources)
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).touch()
    assert (version.digest_of(sources) != before) == is_deployed
