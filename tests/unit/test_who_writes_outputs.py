"""A run's files in S3 have one way in, which asks first whose they are: nobody else puts objects."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
WRITES = re.compile(
    r"\.(put_object|upload_file|upload_fileobj|copy_object|copy|create_multipart_upload)\(\s*\w+=|"
    r"\.(upload_file|upload_fileobj)\("
)
WRITERS = {
    "gaitway/outputs/upload.py": "the way in",
    "gaitway/outputs/parts.py": "its larger half",
    "gaitway/client/files.py": "inputs, before a run begins",
}


def test_only_the_uploader_writes_a_runs_files() -> None:
    found = {
        path.relative_to(REPOSITORY).as_posix()
        for folder in ("gaitway", "lambdas", "stacks")
        for path in (REPOSITORY / folder).rglob("*.py")
        if "gaitway/local" not in path.as_posix() and WRITES.search(path.read_text(encoding="utf-8"))
    }

    assert found == WRITERS.keys()
