"""Isaac Lab 3.0 on this machine's GPUs, through our runner and without it."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from bench.gpus.jobs import Account, JobError, Trained, account, kill_simulator, passed_on, train_bare
from bench.gpus.model import Iteration, fit
from gaitway.contracts.artifacts import EXPORTED, RESULTS, VIDEOS, Results
from gaitway.contracts.model import S3Uri
from gaitway.contracts.workload import EvaluationConfig, TrainingConfig
from gaitway.libraries import RlLibrary, record_of
from gaitway.runner.run import EXIT_ATTEMPT_AGAIN
from gaitway.workloads.metrics import WALL_TIME
from tests.local.runner_world import World

TASKS = {"cartpole": "Isaac-Cartpole-Direct", "ant": "Isaac-Ant-Direct", "humanoid": "Isaac-Humanoid-Direct"}
LIBRARIES: tuple[RlLibrary, ...] = ("rsl_rl", "skrl", "rl_games")
PARTS = ("speed", "reward", "recovery", "scaling", "shares", "lost")
NUM_ENVS = 4096
GOAL_RATIO = 0.99
GOAL_EFFICIENCY = 0.95
SPEED_ITERATIONS = 100
SCALING_ITERATIONS = 60
PREDICTED = (4, 8)
"""Numbers of GPUs that the model of an iteration's seconds is asked for, where they were not measured."""
REWARDS: dict[str, tuple[int, float]] = {"cartpole": (150, 4.5), "ant": (500, 100.0), "humanoid": (900, 100.0)}
"""By task: the most iterations, and the mean reward of an episode that counts as reached."""
DOLLARS_PER_HOUR = {"p5.4xlarge (1 H100)": 6.88}
"""Assumed, for comparison only: neither paid nor compared with AWS's list, aws.amazon.com/ec2/pricing/on-demand."""
EPISODES = 100
_OF_TWO_ATTEMPTS = {"GAITWAY_SIMULATOR": "isaaclab3", "GAITWAY_JOB_ATTEMPTS": "2"}
"""Of a runner whose job may be attempted a second time: by itself, the only attempt reports the run as failed."""


@dataclass
class Page:
    """Tables that are written as they grow, so that a machine that is taken away leaves what was measured."""

    path: Path | None
    lines: list[str] = field(default_factory=list)

    def add(self, *lines: str) -> None:
        """Write and print some lines."""
        self.lines += lines
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
        if self.path is not None:
            self.path.write_text("\n".join(self.lines) + "\n", encoding="utf-8")


def measure(options: argparse.Namespace) -> int:
    """Measure what the options ask for.

    Returns:
        Exit code: 0 when everything that was tried succeeded.
    """
    page = Page(options.write)
    gpus = torch.cuda.device_count()
    names = sorted({torch.cuda.get_device_name(index) for index in range(gpus)})
    page.add(
        f"{gpus} GPU(s): {', '.join(names)}; {os.cpu_count()} CPU cores; torch {torch.__version__}, Python "
        f"{platform.python_version()}."
    )
    parts: dict[str, Callable[[Account, Page, argparse.Namespace, Path], None]] = {
        "speed": _speed,
        "reward": _reward,
        "recovery": _recovery,
        "scaling": _scaling,
        "shares": _shares,
        "lost": _lost,
    }
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        directory = options.directory or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        with account(directory) as aws:
            for part in options.only:
                try:
                    parts[part](aws, page, options, directory)
                except JobError as error:
                    failed += 1
                    page.add("", f"{part} failed:", "```", str(error)[-1500:], "```")
    return 1 if failed else 0


def _training(
    task: str, library: RlLibrary, iterations: int, *, num_envs: int = NUM_ENVS, interval: int | None = None
) -> TrainingConfig:
    return TrainingConfig(
        task=TASKS[task],
        rl_library=library,
        num_envs=num_envs,
        max_iterations=iterations,
        checkpoint_interval=interval,
        seed=42,
    )


def _pairs(options: argparse.Namespace) -> Iterator[tuple[str, RlLibrary]]:
    pairs = [(task, library) for task in options.tasks for library in options.libraries]
    yield from track(pairs, console=Console(stderr=True))


def _speed(aws: Account, page: Page, options: argparse.Namespace, directory: Path) -> None:
    """Steps per second of the runner's job over those of Isaac Lab's own command line."""
    page.add(
        "",
        f"### Speed inside the runner, {NUM_ENVS} environments, {SPEED_ITERATIONS} iterations",
        "",
        "| task | library | Isaac Lab alone, steps/s | in the runner, steps/s | ratio | process, s | job, s |",
        "|---|---|---|---|---|---|---|",
    )
    ratios = []
    for task, library in _pairs(options):
        training = _training(task, library, SPEED_ITERATIONS)
        # The job first: it pays for compiling the kernels, which the whole times show.
        job = aws.train(training)
        bare = train_bare(training, directory / f"bare-{task}-{library}")
        ratios.append(job.steps_per_second / bare.steps_per_second)
        page.add(
            f"| {TASKS[task]} | {library} | {_thousands(bare)} | {_thousands(job)} | {ratios[-1]:.3f} | "
            f"{bare.process_seconds:.0f} | {job.process_seconds:.0f} |"
        )
    page.add("", f"Median ratio {median(ratios):.3f}; goal ≥ {GOAL_RATIO}.")


def _reward(aws: Account, page: Page, options: argparse.Namespace, directory: Path) -> None:
    """Seconds and dollars until the mean reward of an episode is what the task is known for."""
    (machine, dollars), *_ = DOLLARS_PER_HOUR.items()
    page.add(
        "",
        f"### Seconds and dollars to a reward, {NUM_ENVS} environments",
        "",
        f"Dollars: the seconds here at {dollars} USD an hour, which is assumed for a {machine}.",
        "",
        "| task | library | reward | iterations | training, s | job until then, s | USD | best reward |",
        "|---|---|---|---|---|---|---|---|",
    )
    for task, library in _pairs(options):
        iterations, goal = REWARDS[task]
        trained = aws.train(_training(task, library, iterations))
        tag = record_of(library).scalars.mean_reward
        rewards = trained.metrics[tag].dropna()
        moments = trained.metrics[WALL_TIME]
        at = moments.loc[rewards.index]
        curve = [
            (float(moment), int(step), float(value))
            for moment, step, value in zip(at, rewards.index, rewards, strict=True)
        ]
        (directory / f"curve-{task}-{library}.json").write_text(json.dumps(curve))
        began = float(moments.iloc[0])
        start_up = trained.process_seconds - (float(moments.iloc[-1]) - began)
        reached = next(((moment - began, step) for moment, step, value in curve if value >= goal), None)
        head = f"| {TASKS[task]} | {library} | {goal:g} |"
        best = f"{rewards.max():.1f} |"
        if reached is None:
            page.add(f"{head} not in {iterations} | | | | {best}")
            continue
        seconds, step = reached
        whole = seconds + start_up
        page.add(f"{head} {step} | {seconds:.0f} | {whole:.0f} | {whole / 3600 * dollars:.3f} | {best}")


def _recovery(aws: Account, page: Page, options: argparse.Namespace, directory: Path) -> None:
    """A simulator that is killed; its run resumed to the fixed total; the policy evaluated, with a video."""
    page.add(
        "",
        f"### Killed with kill -9 after a third, resumed to the fixed total, evaluated over {EPISODES} episodes",
        "",
        "| task | library | attempts of the simulator | iterations | exported | success | mean return | video, bytes |",
        "|---|---|---|---|---|---|---|---|",
    )
    for task, library in _pairs(options):
        total = SPEED_ITERATIONS
        with aws.run(_training(task, library, total, interval=10)) as trained:
            _job(trained, after=total // 3)
            job = trained.start_runner(AWS_BATCH_JOB_ATTEMPT="2", **_OF_TWO_ATTEMPTS, **passed_on())
            if job.wait():
                raise JobError(job.output[-3000:])
            objects = trained.objects()
            results = Results.read(objects[RESULTS].decode())
            assert results.training is not None
            policy = S3Uri(trained.bucket, f"{trained.output.key}{results.training.final_checkpoint}")
            exported = [name.removeprefix(EXPORTED) for name in objects if name.startswith(EXPORTED)]
            config = EvaluationConfig(
                task=TASKS[task],
                rl_library=library,
                num_envs=EPISODES,
                num_episodes=EPISODES,
                record_video=True,
                seed=7,
            )
            with aws.run(config, policy=policy) as evaluated:
                job = evaluated.start_runner(GAITWAY_SIMULATOR="isaaclab3", **passed_on())
                if job.wait():
                    raise JobError(job.output[-3000:])
                objects = evaluated.objects()
                videos = {name: content for name, content in objects.items() if name.startswith(VIDEOS)}
                for name, content in videos.items():
                    (directory / f"{task}-{library}-{Path(name).name}").write_bytes(content)
                found = Results.read(objects[RESULTS].decode()).evaluation
                assert found is not None
        done = f"{results.attempts} | {results.training.iterations} | {', '.join(exported)}"
        shown = (
            f"{found.success_rate:.2f} | {found.mean_return:.1f} | {', '.join(str(len(v)) for v in videos.values())}"
        )
        page.add(f"| {TASKS[task]} | {library} | {done} | {shown} |")


def _job(world: World, after: int) -> None:
    """Start a job, and kill its simulator after some iterations; the runner then asks for another attempt.

    Raises:
        JobError: It asks for none.
    """
    job = world.start_runner(**_OF_TWO_ATTEMPTS, **passed_on())
    job.wait_for(f"Trained iterations: {after}/")
    kill_simulator(world)
    code = job.wait()
    if code != EXIT_ATTEMPT_AGAIN:
        raise JobError(f"the first attempt ended with exit code {code}:\n{job.output[-3000:]}")


def _scaling(aws: Account, page: Page, options: argparse.Namespace, directory: Path) -> None:
    """Steps per second of several processes, one per GPU, over those of one."""
    page.add(
        "",
        f"### Several GPUs of one host, {SCALING_ITERATIONS} iterations",
        "",
        "| task | library | environments per GPU | GPUs | steps/s | efficiency | iteration, s | job, s |",
        "|---|---|---|---|---|---|---|---|",
    )
    measured: dict[tuple[str, RlLibrary], list[Iteration]] = {}
    for task, library in _pairs(options):
        for num_envs in options.environments:
            alone: float | None = None
            for count in _counts(options):
                trained = aws.train(_training(task, library, SCALING_ITERATIONS, num_envs=num_envs), gpus=count)
                alone = trained.steps_per_second if count == 1 else alone
                efficiency = f"{trained.steps_per_second / count / alone:.3f}" if alone else "not measured"
                iteration = Iteration(num_envs, count, trained.steps_per_iteration / trained.steps_per_second)
                measured.setdefault((task, library), []).append(iteration)
                page.add(
                    f"| {TASKS[task]} | {library} | {num_envs} | {count} | {_thousands(trained)} | {efficiency} | "
                    f"{iteration.seconds:.3f} | {trained.process_seconds:.0f} |"
                )
    page.add("", f"Goal: efficiency ≥ {GOAL_EFFICIENCY} at 8192 environments per GPU or more.")
    for (task, library), iterations in measured.items():
        model = fit(iterations)
        if model is None:
            continue
        page.add(
            "", f"{TASKS[task]}, {library}: {model}.", "", "| environments per GPU | GPUs | predicted efficiency |"
        )
        page.add("|---|---|---|")
        for num_envs in options.environments:
            for count in PREDICTED:
                page.add(f"| {num_envs} | {count} | {model.efficiency(num_envs, count):.3f} |")


def _shares(aws: Account, page: Page, options: argparse.Namespace, directory: Path) -> None:
    """Where an iteration's time goes, by hooks in the processes; and whether all of them hold the same policy."""
    page.add(
        "",
        f"### Where the time of an iteration goes, {SCALING_ITERATIONS} iterations",
        "",
        "Measured with waiting for the GPU before and after each part, which takes time. Communication is part of "
        "learning, and includes waiting for the other processes: the one that waits least shows what NCCL takes.",
        "",
        "| task | library | environments per GPU | GPUs | iteration, s | physics | learning | communication, each "
        "| same weights | same normalisers |",
        "|---|---|---|---|---|---|---|---|---|---|",
    )
    hooks = str(Path(__file__).with_name("shares"))
    for task, library in _pairs(options):
        for num_envs in options.environments:
            for count in _counts(options):
                training = _training(task, library, SCALING_ITERATIONS, num_envs=num_envs)
                trained = aws.train(training, gpus=count, first_on_path=hooks)
                shares = [json.loads(each) for each in trained.shares]
                if len(shares) != count:
                    raise JobError(f"{len(shares)} of {count} processes wrote their shares")
                seconds = [share["seconds"] for share in shares]
                first, whole = seconds[0], seconds[0]["whole"]
                together = ", ".join(f"{each['communication'] / each['whole']:.1%}" for each in seconds)
                page.add(
                    f"| {TASKS[task]} | {library} | {num_envs} | {count} | {whole / shares[0]['updates']:.3f} | "
                    f"{first['physics'] / whole:.1%} | {first['update'] / whole:.1%} | {together} | "
                    f"{_same(shares, 'weights')} | {_same(shares, 'normalisers')} |"
                )


def _same(shares: list[dict[str, Any]], what: str) -> str:
    return "yes" if len({share[what] for share in shares}) == 1 else "no"


def _lost(aws: Account, page: Page, options: argparse.Namespace, directory: Path) -> None:
    """Seconds from the loss of the last process to the next iteration of the next attempt."""
    page.add(
        "",
        "### A process that is lost (kill -9), checkpoints every 10 iterations",
        "",
        "| task | library | GPUs | killed after | the attempt ended, s | iterations go on, s | iterations in the end |",
        "|---|---|---|---|---|---|---|",
    )
    for task, library in _pairs(options):
        for count in (each for each in _counts(options) if each > 1):
            total, after = SCALING_ITERATIONS, SCALING_ITERATIONS // 2
            with aws.run(_training(task, library, total, interval=10), gpus=count) as world:
                job = world.start_runner(**_OF_TWO_ATTEMPTS, **passed_on())
                job.wait_for(f"Trained iterations: {after}/")
                killed = time.monotonic()
                kill_simulator(world, rank=count - 1)
                if job.wait() != EXIT_ATTEMPT_AGAIN:
                    raise JobError(f"the first attempt did not ask for another one:\n{job.output[-3000:]}")
                ended = time.monotonic() - killed
                job = world.start_runner(**{**_OF_TWO_ATTEMPTS, **passed_on(), "AWS_BATCH_JOB_ATTEMPT": "2"})
                job.wait_for("Trained iterations: ")
                goes_on = time.monotonic() - killed
                if job.wait():
                    raise JobError(job.output[-3000:])
                results = Results.read(world.objects()[RESULTS].decode())
                assert results.training is not None
            page.add(
                f"| {TASKS[task]} | {library} | {count} | {after} | {ended:.0f} | {goes_on:.0f} | "
                f"{results.training.iterations} |"
            )


def _counts(options: argparse.Namespace) -> list[int]:
    return options.processes or sorted({1, torch.cuda.device_count()})


def _thousands(trained: Trained) -> str:
    return f"{trained.steps_per_second / 1000:.0f}k"
