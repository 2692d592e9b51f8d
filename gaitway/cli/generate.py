"""`gaitway generate`: what a back end would be sent for a request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gaitway.cli.exits import UsageProblemError
from gaitway.cli.generate_options import GenerateOptions
from gaitway.cli.requests import OptionalFileArgument, read_request
from gaitway.cli.show import console
from gaitway.cli.target import DeploymentOption, LocalOption, ProfileOption, RegionOption, choose
from gaitway.client.generate import EXAMPLE_RUN, generate_documents
from gaitway.contracts.backends import Backend
from gaitway.contracts.errors import RequestError
from gaitway.contracts.request import Request, parse_request


def generate(
    file: OptionalFileArgument = None,
    backend: Annotated[
        Backend | None, typer.Option("--backend", help="Instead of computeConfig.backend in the request.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Directory for the documents: generated.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="YAML", help="A file with FILE and options; what is given here, too, wins."),
    ] = None,
    local: LocalOption = False,
    profile: ProfileOption = None,
    region: RegionOption = None,
    deployment: DeploymentOption = None,
) -> None:
    """Write the documents that would be submitted for a request's job, and submit nothing."""
    given = {
        "request": str(file) if file is not None else None,
        "backend": backend,
        "output": str(output) if output is not None else None,
        "local": local or None,
        "profile": profile,
        "region": region,
        "deployment": deployment,
    }
    options = (GenerateOptions.read(config) if config is not None else GenerateOptions()).replaced_by(
        {name: value for name, value in given.items() if value is not None}
    )
    request = _request_of(options, config)
    if options.backend is not None:
        # Checked anew: what one back end can do, another may not.
        asked = request.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
        request = parse_request(asked, {"computeConfig": {"backend": options.backend}})
    target = choose(options.local, options.profile, options.region, options.deployment)
    documents = generate_documents(request, target.session, target.commands.names)
    directory = Path(options.output)
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in documents.items():
        (directory / name).write_text(text, encoding="utf-8")
        console().print(directory / name, markup=False, soft_wrap=True)
    submitted = options.request if isinstance(options.request, str) else "FILE"
    console(stderr=True).print(
        f"The job's run is named {EXAMPLE_RUN} there. Its own id, its record and its caller come with "
        f"`{target.command(f'submit {submitted}')}`",
        markup=False,
        soft_wrap=True,
    )


def _request_of(options: GenerateOptions, config: Path | None) -> Request:
    if options.request is None:
        raise UsageProblemError("FILE is missing: give the path of a request, or --config with a file that names one")
    if isinstance(options.request, str):
        return read_request(Path(options.request))
    try:
        return parse_request(options.request)
    except RequestError as error:
        raise RequestError(f"{config}: request: {error}") from None
