"""Steps per second of a training inside the pipeline, and of the same training without it."""

from __future__ import annotations

from collections import defaultdict

from bench.context import Context
from bench.measurement import Goal, Measurement
from bench.pipeline import CpuUse
from bench.processes import BARE, SIMULATOR, steps_per_iteration, steps_per_second, train_as_process
from bench.size import LIBRARIES, TASK, training_config
from bench.statistics import Spread, interleaved, paired_ratios
from gaitway.libraries import RlLibrary

TITLE = "Speed of training inside the pipeline"
GOAL_RATIO = 0.99
NUM_ENVS = 1024
CHECKPOINT_INTERVAL = 10

PIPELINE, SIMULATOR_ALONE, LIBRARY_ALONE = CANDIDATES = ("pipeline", "simulator alone", "library alone")
"""What is compared: the whole pipeline; the simulator's process as the runner starts it; the library's own loop."""


def measure(context: Context) -> Measurement:
    """Measure every library."""
    rows = []
    goals = []
    notes = []
    for library in LIBRARIES:
        speeds, cpu_uses = _train(context, library)
        over_library = Spread.of(paired_ratios(speeds[PIPELINE], speeds[LIBRARY_ALONE]))
        over_simulator = Spread.of(paired_ratios(speeds[PIPELINE], speeds[SIMULATOR_ALONE]))
        rows.append(
            (
                library,
                *(f"{Spread.of(speeds[name]).median / 1000:.1f}k" for name in CANDIDATES),
                over_simulator.written(".3f"),
                over_library.written(".3f"),
                str(over_library.count),
            )
        )
        use = _median_use(cpu_uses)
        goals.append(
            Goal(
                f"{library}: pipeline / library alone ≥ {GOAL_RATIO}: {over_library.median:.3f}",
                over_library.median >= GOAL_RATIO,
                likely_reason(over_simulator, over_library, use),
            )
        )
        if use is not None:
            notes.append(
                f"{library}: while the simulator ran, the runner used {use.runner:.1%} of one core, and the embedded "
                f"AWS, which in an account is no load of this machine, {use.emulator:.1%}."
            )
    return Measurement(
        title=TITLE,
        method=(
            f"{TASK} with {NUM_ENVS} environments, a checkpoint every {CHECKPOINT_INTERVAL} iterations, the same seed "
            "and one torch thread, trained three ways in turn, forwards and backwards (A B C, C B A, ...): through the "
            "whole pipeline on the embedded AWS (state machines, Batch job, runner with heartbeats, progress and "
            "checkpoint uploads); the embedded simulator's process alone, as the runner starts it; and the library's "
            "own training loop alone on the same environment (`bench/bare.py`). Steps per second follow from the "
            "moments at which TensorBoard's scalars were logged, after "
            f"{context.size.warm_up_iterations} iterations of warm-up: rollouts, learning, logging and checkpoints, "
            "but no start-up. Ratios are of neighbours; median (smallest to largest)."
        ),
        columns=(
            "library",
            "pipeline, steps/s",
            "simulator alone, steps/s",
            "library alone, steps/s",
            "pipeline / simulator alone",
            "pipeline / library alone",
            "pairs",
        ),
        rows=tuple(rows),
        goals=tuple(goals),
        notes=tuple(notes),
    )


def likely_reason(over_simulator: Spread, over_library: Spread, use: CpuUse | None) -> str:
    """Return where the speed was probably lost.

    Args:
        over_simulator: The pipeline's speed over that of the simulator alone.
        over_library: The pipeline's speed over that of the library alone.
        use: CPU use of the runner and the emulator beside the simulator.
    """
    if over_library.smallest < GOAL_RATIO < over_library.largest:
        doubt = f"the pairs differ by more ({over_library.written('.3f')}) than the goal allows to lose; "
    else:
        doubt = ""
    if over_simulator.median >= GOAL_RATIO:
        return (
            f"{doubt}the simulator alone is as slow, so it is not what runs beside it, but what it does itself in each "
            "iteration: the look for NaN, whole checkpoints, progress lines"
        )
    beside = f" (the runner took {use.runner:.1%} of a core, the embedded AWS {use.emulator:.1%})" if use else ""
    return f"{doubt}the simulator alone is faster, so it is what runs beside it on the same cores{beside}"


def _train(context: Context, library: RlLibrary) -> tuple[dict[str, list[float]], list[CpuUse]]:
    size = context.size
    training = training_config(library, NUM_ENVS, size.speed_iterations[library], CHECKPOINT_INTERVAL)
    per_iteration = steps_per_iteration(training.task, library)
    programs = {SIMULATOR_ALONE: SIMULATOR, LIBRARY_ALONE: BARE}
    order = interleaved(CANDIDATES, size.speed_rounds)
    speeds: dict[str, list[float]] = defaultdict(list)
    cpu_uses = []
    for name in context.track(order, f"Speed of {library}"):
        if name == PIPELINE:
            trained = context.pipeline.train(training)
            metrics = trained.metrics
            if trained.cpu_use is not None:
                cpu_uses.append(trained.cpu_use)
        else:
            metrics = train_as_process(programs[name], training, context.new_directory(library))
        speeds[name].append(steps_per_second(metrics, training, per_iteration, size.warm_up_iterations))
    return speeds, cpu_uses


def _median_use(uses: list[CpuUse]) -> CpuUse | None:
    if not uses:
        return None
    return CpuUse(Spread.of([use.runner for use in uses]).median, Spread.of([use.emulator for use in uses]).median)
