"""CONTRIBUTING.md, CHANGELOG.md and the hooks say what is so."""

import re
import subprocess
import tomllib

import pytest
import yaml

from handbook.reference import ROOT
from tests.docs.commands import check_mention, commands

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = dict(
    part.split("\n", 1)
    for part in re.split(r"^### ", PAGE.partition("## Recipes")[2].partition("\n## ")[0], flags=re.MULTILINE)[1:]
)
CHANGES = (
    *("request field", "field that names an input file", "rl library", "simulator", "compute back end", "artifact"),
    *("timeout", "alarm", "known failure", "instance type", "command", "workload", "dependency"),
)
BUILTIN = ("CHANGELOG", "Annotated")
MADE = ("build/", "dist/")
"""Folders that a clone does not have."""


def named_files() -> list[str]:
    spans = (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", PAGE))
    paths = [span for span in spans if re.fullmatch(r"[\w./<>-]*(/[\w./<>-]+|\.(md|txt|toml|json|ya?ml))", span)]
    return sorted({path for path in paths if not path.startswith(MADE)} - {"simulation.json"})


@pytest.mark.parametrize("name", named_files())
def test_a_file_that_is_named_exists(name: str) -> None:
    assert any(ROOT.glob(re.sub(r"<\w+>", "*", name)))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_has_at_most_four_places(recipe: str) -> None:
    places = re.findall(r"^(\d)\. \*\*", RECIPES[recipe], re.MULTILINE)
    assert 1 <= len(places) <= 4
    assert places == [str(number) for number, _ in enumerate(places, start=1)]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_names_that_a_recipe_mentions_are_in_its_files(recipe: str) -> None:
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", RECIPES[recipe])]
    patterns = [re.sub(r"<\w+>", "*", span) for span in spans if re.fullmatch(r"[\w./<>-]+/[\w./<>-]+", span)]
    places = [path for pattern in patterns for path in ROOT.glob(pattern.rstrip("/"))]
    files = [path for place in places for path in ([place] if place.is_file() else place.rglob("*.py"))]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    names = [span for span in spans if re.fullmatch(r"[A-Z][A-Z_]{3,}|([A-Z][a-z]+)+", span) and span not in BUILTIN]
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


def test_the_changes_that_strangers_make_have_recipes() -> None:
    for change in CHANGES:
        assert any(change in recipe.lower() for recipe in RECIPES), change


def test_every_recipe_stands_among_the_recipes() -> None:
    headings = re.findall(r"^#+ ((?:Add|Change) .+)$", PAGE, re.MULTILINE)
    assert headings == list(RECIPES)


def test_commands_that_are_named_exist() -> None:
    mentions = re.findall(r"`((?:gaitway|make|python -m) [^`]+)`", PAGE)
    assert mentions
    for mention in mentions:
        for words in commands(" ".join(mention.split())):
            check_mention(words)


def test_the_version_is_the_newest_one_of_the_changelog() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    unreleased, *released = re.findall(r"^## (.+)$", changelog, re.MULTILINE)
    assert unreleased == "Unreleased"
    assert re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", released[0])


def test_the_hooks_run_what_make_lint_runs() -> None:
    [linters] = re.findall(r"^LINTERS := (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repository["repo"] == "local"
    assert [hook["entry"] for hook in repository["hooks"]] == [f"make --silent {name}" for name in linters.split()]
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = listed.stdout.splitlines()
    for hook in repository["hooks"]:
        assert any(re.search(hook["files"], name) for name in files), hook["id"]
