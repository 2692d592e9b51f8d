"""`gaitway generate`: what a back end would be sent for a request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gaitway.cli.requests import FileArgument, read_request
from gaitway.cli.show import console
from gaitway.cli.target import DeploymentOption, LocalOption, ProfileOption, RegionOption, choose
from gaitway.client.generate import EXAMPLE_RUN, generate_documents
from gaitway.contracts.backends import Backend


def generate(
    file: FileArgument,
    backend: Annotated[
        Backend | None, typer.Option("--backend", help="Instead of computeConfig.backend in the request.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory for the documents.")] = Path("generated"),
    local: LocalOption = False,
    profile: ProfileOption = None,
    region: RegionOption = None,
    deployment: DeploymentOption = None,
) -> None:
    """Write the documents that would be submitted for a request's job, and submit nothing."""
    request = read_request(file)
    if backend is not None:
        compute = request.compute_config.model_copy(update={"backend": backend})
        request = request.model_copy(update={"compute_config": compute})
    target = choose(local, profile, region, deployment)
    documents = generate_documents(request, target.session, target.commands.names)
    output.mkdir(parents=True, exist_ok=True)
    for name, text in documents.items():
        (output / name).write_text(text, encoding="utf-8")
        console().print(output / name, markup=False, soft_wrap=True)
    console(stderr=True).print(
        f"The job's run is named {EXAMPLE_RUN} there. Its own id, its record and its caller come with "
        f"`{target.command(f'submit {file}')}`",
        markup=False,
        soft_wrap=True,
    )
