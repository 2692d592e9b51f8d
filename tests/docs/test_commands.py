"""Every command that a page shows either runs in a test, or is looked at here for the reason that it cannot."""

import re
from pathlib import Path

import pytest

from handbook.reference import DOCS, ROOT
from tests.docs.commands import check, check_mention, commands
from tests.docs.pages import PAGES, shell_blocks
from tests.local.test_quickstart import NOT_HERE

RUN = {
    "docs/command-line.md": "tests/local/test_cli.py::test_the_documented_commands_do_what_the_page_says",
    "docs/quickstart.md": "tests/local/test_quickstart.py::test_the_quickstart_does_what_it_says",
}
"""Pages whose commands a test runs in their order, as they stand there."""

NOT_RUN = {
    "README.md": "a demo takes half a minute, the tests ten; the embedded AWS is that of the tests themselves",
    "docs/quickstart.md": "the demo is two runs more, and there is no account",
    "docs/custom-environments.md": "tests/local/test_custom_environment.py does the same with the example's wheel",
    "docs/deploy.md": "needs an account",
    "docs/acceptance.md": "needs an account; tests/local/test_acceptance.py runs all of it on the embedded AWS",
    "docs/isaaclab.md": "needs an account, and a GPU",
    "docs/operations.md": "needs an account; its gaitway commands run on docs/command-line.md",
    "docs/reliability.md": "a campaign takes half an hour",
    "docs/dashboard.md": "needs an account",
    "docs/device.md": "`make setup` installs the package, and tests/device uses it",
    "docs/vams.md": "needs an account with VAMS",
    "docs/eks.md": "tests/local/test_eks.py brings the same up, and an agent runs until it is stopped; a cluster "
    "needs an account",
    "docs/slurm.md": "needs Slurm; tests/local/test_slurm.py brings the same up, an agent runs until it is stopped, "
    "and a cluster needs an account",
    "docs/report.md": "gaitway compare runs on docs/command-line.md and docs/quickstart.md",
}
"""Pages with commands that no test runs, and why: that they could run is checked."""


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _not_run() -> list[tuple[str, str]]:
    return [
        (_name(page), block.text)
        for page in PAGES
        for block in shell_blocks(page)
        if _name(page) not in RUN or (page == DOCS / "quickstart.md" and block.heading in NOT_HERE)
    ]


@pytest.mark.parametrize(("page", "block"), _not_run(), ids=lambda value: value.partition("\n")[0])
def test_a_command_that_no_test_runs_says_why_and_could_run(page: str, block: str) -> None:
    assert page in NOT_RUN, f"{page} shows commands: run them in a test, or say here why that cannot be"
    found = list(commands(block))
    assert found
    for words in found:
        check(words)


@pytest.mark.parametrize(("page", "test"), RUN.items(), ids=str)
def test_the_test_that_runs_a_page_is_there_and_names_it(page: str, test: str) -> None:
    path, _, name = test.partition("::")
    text = (ROOT / path).read_text(encoding="utf-8")
    assert f"def {name}(" in text
    assert Path(page).name in text
    assert shell_blocks(ROOT / page)


def test_no_reason_is_given_for_a_page_without_commands() -> None:
    assert set(NOT_RUN) <= {page for page, _ in _not_run()}


def test_no_commands_hide_in_blocks_of_another_language() -> None:
    for page in PAGES:
        for block in re.findall(r"^```(?!console|bash)\w*\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
            assert not re.search(r"^(gaitway|make|npx|aws|python -m) ", block, re.MULTILINE), (page, block)


def _mentions(page: Path) -> set[str]:
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    spans = (" ".join(span.split()) for span in re.findall(r"`((?:aws|gaitway|make|npx|cdk|python -m) [^`]+)`", text))
    # What stands for something else is no command: `up | down`, `<name>`, `-c name=value`.
    return {span for span in spans if not re.search(r" \| |<\w+>|name=value", span)}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_a_command_that_a_sentence_names_exists(page: Path) -> None:
    for mention in sorted(_mentions(page)):
        [words] = commands(mention)
        check_mention(words)


@pytest.mark.parametrize(
    "wrong",
    [
        "make nonsense",
        "gaitway show",
        "gaitway ls --nonsense",
        "npx cdk deploy --nonsense",
        "npx cdk deploy -c nonsense=1",
        "aws batch list-nonsense",
        "aws batch list-jobs --nonsense 1",
        "aws batch list-jobs --query 'a['",
        "nonsense",
    ],
)
def test_what_could_not_run_is_found(wrong: str) -> None:
    [words] = commands(wrong)
    with pytest.raises(AssertionError):
        check(words)
