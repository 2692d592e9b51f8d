"""The templates that `app.py` synthesises, made once per session: starting the CDK's kernel takes seconds.

It starts when the CDK is imported. Tests import it where they need it, or each of the processes that share them out
would start one to collect them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gaitway.settings import Settings, load_settings
from tests.infra.deployments import new_app
from tests.infra.templates import ROOT, Synthesis

Synthesise = Callable[[Settings], Synthesis]


@pytest.fixture(scope="session")
def synthesise(tmp_path_factory: pytest.TempPathFactory) -> Synthesise:
    """Synthesise what some settings deploy, with the checks of the real app: a finding raises."""
    made: dict[str, Synthesis] = {}

    def synthesise_once(settings: Settings) -> Synthesis:
        key = settings.model_dump_json()
        if key not in made:
            from stacks.assembly import assemble

            directory = tmp_path_factory.mktemp("cdk.out")
            app = new_app(directory)
            assemble(app, settings)
            app.synth()
            made[key] = Synthesis(app, Path(directory))
        return made[key]

    return synthesise_once


@pytest.fixture(scope="session")
def aws(synthesise: Synthesise) -> Synthesis:
    """What `cdk deploy -c acceptNvidiaEula=true` deploys."""
    return synthesise(load_settings({"acceptNvidiaEula": "true"}, ROOT))


@pytest.fixture(scope="session")
def embedded(synthesise: Synthesise) -> Synthesis:
    """What the embedded AWS gets."""
    return synthesise(load_settings({"configFile": "gaitway/local/config.json"}, ROOT))
