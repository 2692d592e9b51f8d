"""What AWS publishes of instance types, and what is asked of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gaitway.settings import Settings
from tests.infra.deployments import SETTINGS, settings_of
from tests.infra.templates import ROOT

# Read here by itself: the settings must not be proven by their own arithmetic.
TYPES: dict[str, dict[str, Any]] = json.loads(
    (ROOT / "gaitway" / "instances" / "types.json").read_text(encoding="utf-8")
)["types"]
NOT_FOR_JOBS = 0.1
"""Of the memory: an instance of 32 GiB registers about 30.5 with ECS, and Docker and the agent need some of it."""


def fits(name: str, processes: int, settings: Settings) -> bool:
    offered, asked = TYPES[name], settings.job_sizes[processes]
    asked_and_offered = [
        (asked.gpus, offered["gpus"]),
        (asked.vcpus, offered["vcpus"]),
        (asked.memory_mib, offered["memory_gib"] * 1024 * (1 - NOT_FOR_JOBS)),
    ]
    return all(wanted <= there for wanted, there in asked_and_offered)


def test_every_type_that_may_be_chosen_holds_isaac_sim() -> None:
    # docs.isaacsim.omniverse.nvidia.com/5.1.0/installation/requirements.html: 16 GB of GPU memory.
    assert [name for name, row in TYPES.items() if row["gpu_memory_mib"] * 2**20 < 16 * 10**9] == []


@pytest.mark.parametrize("name", SETTINGS)
def test_every_size_that_a_request_may_name_fits_a_type_that_is_offered(name: str) -> None:
    settings = settings_of(name)
    assert settings.job_sizes
    for processes in settings.job_sizes:
        assert any(fits(type_, processes, settings) for type_ in settings.instance_types), processes


@pytest.mark.parametrize("name", SETTINGS)
def test_a_job_of_one_gpu_fits_every_type_that_is_offered(name: str) -> None:
    settings = settings_of(name)
    assert [type_ for type_ in settings.instance_types if not fits(type_, 1, settings)] == []


def test_a_gpu_more_than_any_type_has_is_not_offered() -> None:
    settings = Settings(instanceTypes=("g6.2xlarge", "g6.12xlarge"))
    assert max(settings.job_sizes) == 4
