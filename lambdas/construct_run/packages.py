"""Refuse a custom environment that cannot work before a machine is paid for, by the rules of the job."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, Json

from gaitway.contracts.errors import CustomEnvironmentError, RequestError
from gaitway.contracts.inputs import local_name
from gaitway.contracts.packages import HEAD_BYTES, package_format
from gaitway.libraries.simulators import SIMULATORS, Simulator
from gaitway.packages.archive import TooLargeError
from gaitway.packages.choice import choose
from gaitway.packages.dependencies import find_missing, refusal
from gaitway.packages.image import Holdings, Image, PinnedImage
from gaitway.packages.layout import lay_out
from gaitway.packages.wheels import read_wheel, spread_wheel
from lambdas.environment import Environment
from lambdas.observability import logger

if TYPE_CHECKING:
    from gaitway.contracts.inputs import InputFile
    from gaitway.contracts.workload import WorkloadConfig
    from lambdas.construct_run.inputs import Inputs

PinnedImages = Mapping[Simulator, PinnedImage]

_ROOT = Path(__file__).parents[2]


class PackagesEnvironment(Environment):
    """The variables of a function that knows what the images hold."""

    pinned_simulators: Annotated[Json[tuple[Simulator, ...]], Field(alias="GAITWAY_PINNED_SIMULATORS")] = ()
    """Those whose images hold what their pins say, and nothing else."""


def pinned_images(simulators: Sequence[Simulator]) -> PinnedImages:
    """Read what the images of some simulators hold."""
    images = {}
    for simulator in simulators:
        pins = SIMULATORS[simulator].pins
        if pins is not None:
            text = (_ROOT / pins.file).read_text(encoding="utf-8")
            images[simulator] = PinnedImage(simulator, text, pins.python)
    return images


def check_packages(
    packages: Mapping[str, InputFile], training: WorkloadConfig, images: Sequence[PinnedImage], inputs: Inputs
) -> None:
    """Refuse packages that cannot be used, or that lack what their tasks depend on.

    What is not certain is left to the job: what is in an archive of which too much would have to be read, and what an
    image has that is not known.

    Args:
        packages: By the request's field.
        training: The request.
        images: What may run it; none if one of them is not known.
        inputs: Reads the packages.

    Raises:
        RequestError: What is wrong with a package, and what to do.
        InputNotFoundError: One cannot be read.
    """
    for field, file in packages.items():
        found = package_format(file.uri.name, inputs.beginning(file, HEAD_BYTES))
        if isinstance(found, str):
            raise RequestError(f"{field} is {file.uri}, but {found}")
    if not packages:
        return
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        try:
            _check_content(list(packages.values()), training, images, inputs, directory)
        except TooLargeError:
            logger.info("too much of the custom environment would have to be read: the job checks it")


def _check_content(
    files: Sequence[InputFile],
    training: WorkloadConfig,
    images: Sequence[PinnedImage],
    inputs: Inputs,
    directory: Path,
) -> None:
    archives = []
    for number, file in enumerate(files):
        folder = directory / str(number)
        folder.mkdir()
        archives.append(folder / local_name(file.uri.name))
        inputs.excerpt(file, archives[-1])
    target = directory / "packages"
    target.mkdir()
    projects = lay_out(archives, target, partial(_install_wheel, images))
    problems = []
    compared: Sequence[Holdings] = images or [Image([])]
    for image in compared:
        environment = choose(projects, target, image)
        found = find_missing(projects, environment, training.task, image, install=False)
        if found.missing and not training.install_dependencies:
            problems.append(refusal(found, image))
    if images and len(problems) == len(images):
        raise problems[0]


def _install_wheel(images: Sequence[PinnedImage], wheel: Path, target: Path) -> None:
    """Unpack a wheel, unless pip would refuse it in all of the images."""
    read = read_wheel(wheel)
    problems = [problem for image in images if (problem := read.problem_in(image)) is not None]
    if images and len(problems) == len(images):
        raise CustomEnvironmentError(
            f"the custom environment {wheel.name} cannot be installed: {problems[0]}. Build it for that, or send the "
            "project instead of a wheel"
        )
    spread_wheel(wheel, target)
