"""Where a run comes from, and where it leads: its request, the code it ran with, and its files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from gaitway.contracts.artifacts import CHECKPOINTS, ManifestEntry, RunConfig
from gaitway.contracts.inputs import POLICY, RESUME_CHECKPOINT
from gaitway.libraries.checkpoints import newest
from gaitway.report.reported_run import ReportedRun

_DIFF_SUFFIX = "_git_diff.txt"
_MAX_DIFF_CHARACTERS = 200_000
_INPUTS = {POLICY: "Evaluated policy", RESUME_CHECKPOINT: "Parent checkpoint"}
"""Labels that say more than the name."""
_FEW_FILES = 8
"""A folder with more of them is folded up."""


@dataclass(frozen=True)
class GitDiff:
    """Uncommitted changes in the working tree of a repository."""

    file: str
    lines: list[tuple[str, str]]
    """Each with its class in the style sheet: `added`, `removed`, `place` or none."""
    is_cut: bool
    """Whether the file is longer than this."""


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
        """Whether the value is so long that its name should come first."""
        return len(self.files) > _FEW_FILES


def request_json(config: RunConfig) -> str:
    """Write the request, with every default filled in."""
    return config.model_dump_json(indent=2, by_alias=True, exclude={"run_id", "versions", "image"})


def inputs(config: RunConfig) -> Iterator[tuple[str, str]]:
    """Give what the run belongs to, and what it worked on, with what each is."""
    for label, value in (("Group", config.group_id), ("Parent run", config.parent_run_id)):
        if value is not None:
            yield label, value
    for name, file in config.inputs.items():
        yield _INPUTS.get(name, name.replace("_", " ").capitalize()), str(file.uri)


def git_diffs(run: ReportedRun) -> Iterator[GitDiff]:
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


def newest_checkpoint(run: ReportedRun) -> str | None:
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
