"""`gaitway compare`: several runs on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gaitway.cli.exits import UsageProblemError
from gaitway.cli.outputs import fetch
from gaitway.cli.show import console, print_json
from gaitway.cli.target import DeploymentOption, JsonOption, LocalOption, ProfileOption, RegionOption, choose
from gaitway.contracts.artifacts import GPU_USAGE, METRICS, PARAMETERS, REPORT, RESULTS, VIDEOS
from gaitway.workloads import WORKLOADS

_WANTED = {METRICS, GPU_USAGE, RESULTS, REPORT, *(workload.config_file for workload in WORKLOADS.values())}


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Ids of runs, or how they begin.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The page; files that it links to are beside it.")
    ] = Path("compare.html"),
    as_json: JsonOption = False,
    local: LocalOption = False,
    profile: ProfileOption = None,
    region: RegionOption = None,
    deployment: DeploymentOption = None,
) -> None:
    """Write a page that compares several runs: curves in the same charts, figures, differences between requests."""
    # Importing the templates takes a tenth of a second; the other commands should not wait for it.
    from gaitway.report import ComparedRun, comparison_document, render_comparison
    from gaitway.report.stored import read_run

    target = choose(local, profile, region, deployment)
    records = {found.run_id: found.record for found in map(target.runs.find, runs)}
    if len(records) < 2:
        raise UsageProblemError(
            f"{' '.join(runs)} is one run: name two or more to compare; `{target.command('ls')}` lists them"
        )
    folder = output.with_name(f"{output.stem}-files")
    compared = []
    for run_id, record in records.items():
        directory = folder / run_id
        with console(stderr=True).status(f"Fetching {run_id}"):
            listed, _ = fetch(record, target, directory, wanted=_is_wanted)
        link = f"{folder.name}/{run_id}/{REPORT}" if (directory / REPORT).is_file() else None
        compared.append(ComparedRun(read_run(directory, listed), link))
    output.write_text(render_comparison(compared), encoding="utf-8")
    if as_json:
        print_json({"page": str(output.absolute()), **comparison_document(compared)})
    else:
        console().print(f"{output}: {len(compared)} runs side by side; open it in a browser", soft_wrap=True)


def _is_wanted(name: str) -> bool:
    return name in _WANTED or name.startswith((PARAMETERS, VIDEOS))
