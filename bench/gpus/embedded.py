"""The embedded simulator: one process and one per GPU train, and the policy is evaluated.

It needs torch with CUDA, the RL libraries and pydantic, and prints a table in Markdown: whether each library trains
through NCCL, how fast, and whether its policy solves the task.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from gaitway.contracts.inputs import POLICY
from gaitway.contracts.simulation import EVALUATION_SUMMARY, TRAINING_PROGRESS, EvaluationSummary, SimulationJob
from gaitway.contracts.workload import EvaluationConfig, TrainingConfig
from gaitway.libraries import RlLibrary
from gaitway.libraries.checkpoints import newest

TASK = "Isaac-Cartpole-Direct-v0"
NUM_ENVS = 4096
"""For each process: Isaac Lab's own default."""
ITERATIONS: dict[RlLibrary, int] = {"rsl_rl": 100, "skrl": 150, "rl_games": 150}
EPISODES = 500
_ROOT = Path(__file__).parents[2]


def measure() -> int:
    """Try every library.

    Returns:
        Exit code: 0 when every policy solves the task.
    """
    gpus = torch.cuda.device_count()
    names = sorted({torch.cuda.get_device_name(index) for index in range(gpus)})
    nccl = ".".join(map(str, torch.cuda.nccl.version()))  # type: ignore[no-untyped-call]
    _say(f"{gpus} GPU(s): {', '.join(names)}; torch {torch.__version__}, NCCL {nccl}\n")
    _say("| library | processes | environments | iterations | steps/s, all processes | success |")
    _say("|---|---|---|---|---|---|")
    solved = True
    for library, iterations in ITERATIONS.items():
        for processes in sorted({1, gpus}):
            with tempfile.TemporaryDirectory() as directory:
                speed, success = _try(library, iterations, processes, Path(directory))
            solved = solved and success >= 0.95
            environments = processes * NUM_ENVS
            figures = f"{iterations} | {speed / 1e6:.2f} M | {success:.3f}"
            _say(f"| {library} | {processes} | {environments} | {figures} |")
    return 0 if solved else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _try(library: RlLibrary, iterations: int, processes: int, directory: Path) -> tuple[float, float]:
    """Train and evaluate; return steps per second over all processes, and the success rate."""
    training = TrainingConfig(task=TASK, rl_library=library, num_envs=NUM_ENVS, max_iterations=iterations, seed=42)
    output = _simulate(SimulationJob(training=training), processes, directory)
    speeds = [float(match["steps_per_second"]) for match in TRAINING_PROGRESS.finditer(output)]
    checkpoints = {path.name: path for path in directory.glob("logs/**/*.pt*")}
    policy = checkpoints[newest(checkpoints) or ""]
    evaluation = EvaluationConfig(task=TASK, rl_library=library, num_envs=EPISODES, num_episodes=EPISODES, seed=7)
    _simulate(SimulationJob(training=evaluation, inputs={POLICY: policy}), 1, directory)
    summary = EvaluationSummary.read((directory / EVALUATION_SUMMARY).read_text())
    return sorted(speeds)[len(speeds) // 2], summary.success_rate


def _simulate(job: SimulationJob, processes: int, directory: Path) -> str:
    """Run a simulation, one process per GPU; return its output.

    Raises:
        RuntimeError: A process failed; the message has the end of its output.
    """
    (directory / "simulation.json").write_text(job.model_dump_json(by_alias=True))
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes > 1 else []
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "gaitway.simulators.embedded", "simulation.json"],
        cwd=directory,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the simulator ended with exit code {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout


def _environment() -> dict[str, str]:
    """Make the simulator importable from any working directory."""
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
    return os.environ | {"PYTHONPATH": path}
