"""Where a run comes from, and where it leads: its request, the code it ran with, and its files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from gaitway.contracts.artifacts import CHECKPOINTS, ManifestEntry, RunConfig
from gaitway.contracts.checkpoints import newest
from gaitway.report.subject import Subject

_DIFF_SUFFIX = "_git_diff.txt"
_MAX_DIFF_CHARACTERS = 200_000
_FEW_FILES = 8
"""A folder with more of them is folded up."""


@dataclass(frozen=True)
class GitDiff:
    """What the working tree of a repository had beyond its last commit."""

    file: str
    lines: list[tuple[str, str]]
    """Each with its class in the style sheet: `added`, `removed`, `place` or none."""
    is_cut: bool
    """Whether the file goes on."""


@dataclass(frozen=True)
class Folder:
    """Some of a run's files."""

    name: str
    """With its slash; empty for those that are in none."""
    files: Sequence[ManifestEntry]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(entry.size for entry in self.files)

    @property
    def has_many(self) -> bool:
        """Whether one would rather see its name first."""
        return len(self.files) > _FEW_FILES


def request_json(config: RunConfig) -> str:
    """Write down what was asked for, every default filled in."""
    return config.model_dump_json(indent=2, by_alias=True, exclude={"run_id", "versions", "image"})


def inputs(config: RunConfig) -> Iterator[tuple[str, str]]:
    """Give what the run worked on, with what it is."""
    for label, address in (
        ("Evaluated policy", config.policy),
        ("Parent checkpoint", config.resume_checkpoint),
        ("Custom environment", config.custom_environment),
    ):
        if address is not None:
            yield label, address


def git_diffs(run: Subject) -> Iterator[GitDiff]:
    """Read the diffs that the run's files hold."""
    for name, path in sorted(run.files.items()):
        if not name.endswith(_DIFF_SUFFIX):
            continue
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                text = file.read(_MAX_DIFF_CHARACTERS + 1)
        except OSError:
            continue
        is_cut = len(text) > _MAX_DIFF_CHARACTERS
        yield GitDiff(name, [(_kind(line), line) for line in text[:_MAX_DIFF_CHARACTERS].splitlines()], is_cut)


def newest_checkpoint(run: Subject) -> str | None:
    """Choose the checkpoint of the run that was trained longest; None where S3 holds none."""
    return newest(entry.path for entry in run.listed if entry.path.startswith(CHECKPOINTS))


def folders(listed: Sequence[ManifestEntry]) -> list[Folder]:
    """Sort a run's files into their topmost folders, what is in none first."""
    by_folder = sorted(listed, key=lambda entry: (_folder(entry), entry.path))
    return [Folder(name, list(entries)) for name, entries in groupby(by_folder, key=_folder)]


def _folder(entry: ManifestEntry) -> str:
    folder, slash, _ = entry.path.partition("/")
    return folder + slash if slash else ""


def _kind(line: str) -> str:
    if line.startswith("@@"):
        return "place"
    if line.startswith(("+++", "---", "diff ")):
        return "file"
    return {"+": "added", "-": "removed"}.get(line[:1], "")
