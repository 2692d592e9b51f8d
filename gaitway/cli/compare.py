"""`gaitway compare`: several runs on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gaitway.cli.exits import UsageProblemError
from gaitway.cli.outputs import fetch
from gaitway.cli.show import console, print_json
from gaitway.cli.target import JsonOption, LocalOption, ProfileOption, RegionOption, choose
from gaitway.contracts.artifacts import CONFIG_FILES, GPU_USAGE, METRICS, PARAMETERS, REPORT, RESULTS, VIDEOS
from gaitway.run_files import RunFiles

_WANTED = {METRICS, GPU_USAGE, RESULTS, REPORT, *CONFIG_FILES.values()}


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Ids of runs, or how they begin.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The page; what it links to goes beside it.")
    ] = Path("compare.html"),
    as_json: JsonOption = False,
    local: LocalOption = False,
    profile: ProfileOption = None,
    region: RegionOption = None,
) -> None:
    """Write a page that shows several runs: their curves over each other, their figures, what was asked for."""
    # Templates take a tenth of a second to import, for which the other commands need not wait.
    from gaitway.report import ComparedRun, comparison_document, render_comparison
    from gaitway.report.stored import read_run

    target = choose(local, profile, region)
    records = {found.run_id: found.record for found in map(target.runs.find, runs)}
    if len(records) < 2:
        raise UsageProblemError(f"{' '.join(runs)} is one run: name two or more to compare; `gaitway ls` lists them")
    folder = output.with_name(f"{output.stem}-files")
    compared = []
    for run_id, record in records.items():
        directory = folder / run_id
        with console(stderr=True).status(f"Fetching {run_id}"):
            listed, _ = fetch(record, RunFiles(target.session), directory, wanted=_is_wanted)
        link = f"{folder.name}/{run_id}/{REPORT}" if (directory / REPORT).is_file() else None
        compared.append(ComparedRun(read_run(directory, listed), link))
    output.write_text(render_comparison(compared), encoding="utf-8")
    if as_json:
        print_json({"page": str(output.absolute()), **comparison_document(compared)})
    else:
        console().print(f"{output}: {len(compared)} runs side by side; open it in a browser", soft_wrap=True)


def _is_wanted(name: str) -> bool:
    return name in _WANTED or name.startswith((PARAMETERS, VIDEOS))
