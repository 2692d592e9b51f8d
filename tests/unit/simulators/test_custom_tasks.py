"""Tasks of a custom environment: registered by Isaac Lab's convention, found by the embedded simulator."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import gymnasium
import pytest
import yaml

from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import CustomEnvironment, CustomProject
from gaitway.libraries import RlLibrary
from gaitway.simulators.common.custom_environment import import_custom_environment, make_importable
from gaitway.simulators.embedded.agent_files import read_agent
from gaitway.simulators.embedded.cartpole.direct import CartpoleDirectEnvironment
from gaitway.simulators.embedded.libraries import rl_games_config, rsl_rl_config, sb3_config, skrl_config
from gaitway.simulators.embedded.registry import find_task
from tests.unit.simulators.jobs import LIBRARIES

EXAMPLE = Path(__file__).parents[3] / "examples" / "custom_env"
EXAMPLE_TASK = "Example-Cartpole-Centred-Direct-v0"
GOOD = """
import gymnasium

from gaitway.simulators import CartpoleDirectConfig, RslRlAgentConfig

gymnasium.register(
    id="My-Cartpole-v0",
    entry_point="gaitway.simulators:CartpoleDirectEnvironment",
    kwargs={
        "env_cfg_entry_point": CartpoleDirectConfig,
        "rsl_rl_cfg_entry_point": RslRlAgentConfig("mine"),
        "skrl_cfg_entry_point": "my_tasks:skrl.yaml",
    },
)
"""
SKRL = {"agent": {"rollouts": 8, "experiment": {"directory": "mine"}}}


@pytest.fixture(autouse=True)
def _undone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget what a test has imported and registered."""
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "meta_path", sys.meta_path.copy())
    modules, registered = set(sys.modules), set(gymnasium.registry)
    yield
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] in ("my_tasks", "cartpole_centred", "isaacsim"):
            del sys.modules[name]
    for name in set(gymnasium.registry) - registered:
        del gymnasium.registry[name]


def imported(directory: Path, code: str = GOOD) -> None:
    """Import a package with these lines in it."""
    package = directory / "my_tasks"
    package.mkdir()
    (package / "__init__.py").write_text(code)
    (package / "skrl.yaml").write_text(yaml.safe_dump(SKRL))
    environment = of(directory, "my_tasks")
    make_importable(environment)
    import_custom_environment(environment, "My-Cartpole-v0")


def of(directory: Path, *modules: str) -> CustomEnvironment:
    project = CustomProject(name="project", import_root=directory, modules=modules)
    return CustomEnvironment(path=directory, projects=(project,))


def test_what_a_package_registers_is_found(tmp_path: Path) -> None:
    imported(tmp_path)

    task = find_task("my_tasks:My-Cartpole-v0", "rsl_rl")

    assert task.name == "My-Cartpole-v0"
    assert task.make_environment is CartpoleDirectEnvironment
    assert task.environment.decimation == 2
    assert task.agents == {"rsl_rl": rsl_rl_config.AgentConfig("mine")}
    skrl = find_task("My-Cartpole-v0", "skrl").agents["skrl"]
    assert (skrl.agent.rollouts, skrl.experiment) == (8, "mine")


def test_a_package_may_take_the_place_of_a_task_that_is_here(tmp_path: Path) -> None:
    imported(tmp_path, GOOD.replace("My-Cartpole-v0", "Isaac-Cartpole-v0"))
    assert find_task("Isaac-Cartpole-v0", "rsl_rl").agents["rsl_rl"].experiment == "mine"


def test_an_unknown_task_is_told_with_the_packages_own_names_too(tmp_path: Path) -> None:
    imported(tmp_path)
    with pytest.raises(RequestError, match=r"'My-Cartpol-v0'.*nearest: My-Cartpole-v0, .*customEnvironmentPath"):
        find_task("My-Cartpol-v0", "rsl_rl")
    # Gymnasium's own tasks are none of ours.
    with pytest.raises(RequestError, match="'CartPole-v1', which the embedded simulator does not have"):
        find_task("CartPole-v1", "rsl_rl")


def test_a_library_without_settings_is_told_with_those_that_have_some(tmp_path: Path) -> None:
    imported(tmp_path)
    with pytest.raises(RequestError, match=r"no settings of My-Cartpole-v0, allowed: .*(rsl_rl|skrl), (skrl|rsl_rl)$"):
        find_task("My-Cartpole-v0", "rl_games")


@pytest.mark.parametrize(
    ("line", "instead", "library", "words"),
    [
        (
            "simulators:CartpoleDirectEnvironment",
            "simulator:X",
            "rsl_rl",
            r"entry_point is .*the module .* does not exist",
        ),
        (
            "simulators:CartpoleDirectEnvironment",
            "simulators:Nothing",
            "rsl_rl",
            r"cannot be resolved: .*no attribute 'Nothing'",
        ),
        (
            "simulators:CartpoleDirectEnvironment",
            "simulators:CartpoleDirectConfig",
            "rsl_rl",
            r"which is not a VectorEnvironment",
        ),
        ('point": CartpoleDirectConfig', 'point": dict', "rsl_rl", r"env_cfg_entry_point is .* not a dataclass"),
        ("my_tasks:skrl.yaml", "my_tasks:none.yaml", "skrl", r"none\.yaml cannot be read"),
        (
            "my_tasks:skrl.yaml",
            "your_tasks:skrl.yaml",
            "skrl",
            r"skrl_cfg_entry_point .*the module your_tasks does not exist",
        ),
    ],
)
def test_what_does_not_resolve_is_named(
    tmp_path: Path, line: str, instead: str, library: RlLibrary, words: str
) -> None:
    assert line in GOOD
    imported(tmp_path, GOOD.replace(line, instead))
    with pytest.raises(RequestError, match=words):
        find_task("My-Cartpole-v0", library)


def test_an_error_inside_the_package_keeps_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import no_such_library")
    imported(tmp_path, GOOD.replace("gaitway.simulators:", "broken:"))
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        find_task("My-Cartpole-v0", "rsl_rl")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"agent": {"rollout": 8}}, r"agent\.rollout is not a known key \(did you mean agent\.rollouts\?\)"),
        ({"agent": {"rollouts": 0, "experiment": {"directory": "x"}}}, r"agent\.rollouts is 0, allowed: greater than"),
        ({"agent": {"rollouts": 8}}, r"agent is incomplete: .*experiment"),
        ({"agent": 5}, r"agent is 5, allowed: a group of settings"),
        ([], r"the file is \[\], allowed: a group"),
    ],
)
def test_an_agents_file_is_checked_key_by_key(tmp_path: Path, document: object, words: str) -> None:
    file = tmp_path / "skrl.yaml"
    file.write_text(yaml.safe_dump(document))
    with pytest.raises(RequestError, match=words):
        read_agent("skrl", file)


@pytest.fixture
def example() -> CustomEnvironment:
    return of(EXAMPLE, "cartpole_centred")


def test_the_example_has_isaac_labs_settings_for_every_library(example: CustomEnvironment) -> None:
    make_importable(example)
    import_custom_environment(example, EXAMPLE_TASK)
    agents = {library: find_task(EXAMPLE_TASK, library).agents[library] for library in LIBRARIES}
    assert agents.pop("sb3") == sb3_config.CARTPOLE_DIRECT
    assert {agent.experiment for agent in agents.values()} == {"cartpole_centred"}
    assert agents["rsl_rl"].policy == rsl_rl_config.AgentConfig("any").policy
    assert agents["skrl"].models == skrl_config.CARTPOLE_DIRECT.models
    assert agents["skrl"].agent.learning_rate == skrl_config.CARTPOLE_DIRECT.agent.learning_rate
    assert agents["rl_games"].params.network == rl_games_config.CARTPOLE_DIRECT.params.network


def test_the_example_registers_itself_for_isaac_lab_where_isaac_sim_is(
    example: CustomEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "isaacsim").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    make_importable(example)
    import_custom_environment(example, EXAMPLE_TASK)

    spec = gymnasium.spec(EXAMPLE_TASK)

    assert spec.entry_point == "cartpole_centred.isaac_lab:CentredCartpoleEnv"
    entry_points = {key: value.partition(":") for key, value in spec.kwargs.items()}
    assert set(entry_points) == {"env_cfg_entry_point", *(f"{library}_cfg_entry_point" for library in LIBRARIES)}
    for module, _, name in entry_points.values():
        # Isaac Lab looks for a file beside the module, and else for a class in it.
        found = find_spec(module)
        assert found is not None
        assert found.origin is not None
        if name.endswith(".yaml"):
            assert yaml.safe_load((Path(found.origin).parent / name).read_text())
        else:
            body = ast.parse(Path(found.origin).read_text()).body
            assert name in {statement.name for statement in body if isinstance(statement, ast.ClassDef)}
