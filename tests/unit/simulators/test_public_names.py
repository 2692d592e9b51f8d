"""What `gaitway.simulators` offers to custom environments."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

from gaitway import simulators
from tests.unit.simulators.jobs import run_here

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"


def imported_from_gaitway(source: str) -> set[tuple[str, str]]:
    """List what a file imports of Gaitway, as module and name."""
    found: set[tuple[str, str]] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {(node.module or "", alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
    return {(module, name) for module, name in found if module.partition(".")[0] == "gaitway"}


@pytest.mark.parametrize("name", simulators.__all__)
def test_a_name_is_at_run_time_what_type_checkers_see(name: str) -> None:
    declared = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(ast.parse(Path(simulators.__file__).read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    module, own_name = declared[name]
    assert module is not None
    assert getattr(simulators, name) is getattr(__import__(module, fromlist=[own_name]), own_name)


def test_examples_import_public_names_only() -> None:
    files = list(EXAMPLES.rglob("*.py"))
    used = set().union(*(imported_from_gaitway(file.read_text(encoding="utf-8")) for file in files))
    assert used
    assert used <= {("gaitway.simulators", name) for name in simulators.__all__}


def test_the_page_says_what_each_name_is_for_and_names_no_other() -> None:
    page = (ROOT / "docs" / "custom-environments.md").read_text(encoding="utf-8")
    section = page.partition("## Public names in `gaitway.simulators`\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(simulators.__all__)


def test_the_package_itself_imports_no_torch() -> None:
    code = "import gaitway.simulators, sys; print('torch' in sys.modules, 'gymnasium' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["False", "False"]


def test_another_name_is_an_ordinary_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'CartpoleDirectConfg'"):
        _ = simulators.CartpoleDirectConfg


TASK = "Example-Point-v0"
POINT = f'''
from dataclasses import dataclass, field

import gymnasium
import torch

from gaitway.simulators import RslRlAgentConfig, SceneConfig, SimulationConfig, Step, VectorEnvironment


@dataclass(frozen=True)
class PointConfig:
    scene: SceneConfig = field(default_factory=SceneConfig)
    sim: SimulationConfig = field(default_factory=SimulationConfig)


class Point(VectorEnvironment):
    """Push a point to zero."""

    num_actions = 1
    success_definition = "Any."

    def __init__(self, config, seed, device):
        self.num_envs, self.device, self.step_seconds = config.scene.num_envs, device, config.sim.dt
        self.max_episode_length = 5
        torch.manual_seed(seed)
        self.reset()

    def observe(self):
        return self.position

    def reset(self):
        self.position = torch.rand(self.num_envs, 1, device=self.device)
        self.episode_lengths = torch.zeros(self.num_envs, dtype=torch.long, device=self.device)
        return self.observe()

    def step(self, actions):
        self.position = self.position + self.step_seconds * actions
        lengths = self.episode_lengths + 1
        time_outs = lengths >= self.max_episode_length
        self.episode_lengths = torch.where(time_outs, 0, lengths)
        never = torch.zeros_like(time_outs)
        return Step(self.observe(), -self.position.abs()[:, 0], {{"lost": never}}, never, time_outs, ~never)

    def drawable_states(self, num_views):
        return self.position[:num_views]

    def painter(self, num_views, title, subtitle):
        raise NotImplementedError


gymnasium.register(
    id="{TASK}",
    entry_point="tiny_point:Point",
    kwargs={{"env_cfg_entry_point": "tiny_point:PointConfig", "rsl_rl_cfg_entry_point": RslRlAgentConfig("point")}},
)
'''


def test_an_environment_of_ones_own_needs_public_names_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert imported_from_gaitway(POINT) <= {("gaitway.simulators", name) for name in simulators.__all__}
    (tmp_path / "tiny_point.py").write_text(POINT, encoding="utf-8")
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "meta_path", sys.meta_path.copy())
    project = {"name": "project", "import_root": str(tmp_path), "modules": ["tiny_point"]}
    custom = {"path": str(tmp_path), "projects": [project]}
    training = {"mode": "train", "task": TASK, "rl_library": "rsl_rl", "max_iterations": 2, "num_envs": 8}

    try:
        assert run_here(monkeypatch, tmp_path / "run", training, custom_environment=custom) == 0
    finally:
        sys.modules.pop("tiny_point", None)
        gymnasium.registry.pop(TASK, None)

    assert list((tmp_path / "run" / "logs").rglob("exported/policy.onnx"))
