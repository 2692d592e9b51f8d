"""docs/operations.md: whatever a caller, a deployer or a user can be told is on the page."""

import ast
import re
from collections.abc import Iterator

import pytest

from gaitway.contracts.errors import GaitwayError
from handbook.reference import DOCS, ROOT
from statemachines.machines import MACHINES, render

PAGE = (DOCS / "operations.md").read_text(encoding="utf-8")
INSIDE = (
    "gaitway/agent",
    "gaitway/compute/eks",
    "gaitway/local/extensions",
    "gaitway/local/kubernetes",
    "gaitway/local/services.py",
    "gaitway/packages/archive.py",
    "gaitway/runner/reporting/budget.py",
    "gaitway/simulators",
)
"""What is raised there is told in other words: those of AWS and of a cluster, and those that the runner finds."""


def _ours(root: type[GaitwayError] = GaitwayError) -> Iterator[type[GaitwayError]]:
    if root.__module__ == GaitwayError.__module__:
        yield root
    for below in root.__subclasses__():
        yield from _ours(below)


def _section(name: str) -> str:
    found = re.search(rf"^### {name}\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"{name} has no section of its own"
    return found[1]


@pytest.mark.parametrize("error", [error for error in _ours() if error is not GaitwayError])
def test_an_error_of_a_run_has_its_meaning_and_its_cure_and_says_whether_a_retry_helps(
    error: type[GaitwayError],
) -> None:
    section = _section(error.__name__)
    again = re.search(r"\*\*The same run again:\*\* (\w+)", section)
    assert again is not None
    assert (again[1] != "refused") is error.retryable
    assert "**Fix:**" in section


def test_every_error_of_the_tree_is_on_the_page() -> None:
    named = {
        node.name
        for folder in ("gaitway", "lambdas", "container")
        for path in (ROOT / folder).rglob("*.py")
        if not path.relative_to(ROOT).as_posix().startswith(INSIDE)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and re.fullmatch(r"[A-Z]\w*Error", node.name)
        if not {"Model", "Received"} & set(map(ast.unparse, node.bases))
    }
    assert {name for name in named if not re.search(rf"\b{name}\b", PAGE)} == set()


@pytest.mark.parametrize("name", ["States.HeartbeatTimeout", "States.Timeout"])
def test_a_timeout_has_a_section_of_its_own(name: str) -> None:
    assert "**Fix:**" in _section(re.escape(name))


def test_errors_that_the_machines_name_are_on_the_page() -> None:
    machines = " ".join(map(render, MACHINES))
    named = set(re.findall(r'"(?:Error|ErrorEquals)": (?:\[\s*)?"([\w.]+)"', machines)) - {"States.ALL"}
    families = {name.partition(".")[0] + "." for name in named}
    assert {family for family in families if family not in PAGE} <= {"RequestError.", "Sandbox."}
