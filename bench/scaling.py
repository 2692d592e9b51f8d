"""Steps per second of a training in several processes of one machine."""

from __future__ import annotations

from collections import defaultdict

import psutil

from bench.context import Context
from bench.measurement import Measurement
from bench.processes import SIMULATOR, steps_per_iteration, steps_per_second, train_as_process
from bench.size import LIBRARIES, TASK, training_config
from bench.statistics import Spread, interleaved, paired_ratios
from gaitway.libraries import RlLibrary

TITLE = "Training in several processes"
NUM_ENVS = 1024
"""Environments of each process."""
CHECKPOINT_INTERVAL = 1000
PROCESSES = (1, 2)


def measure(context: Context) -> Measurement:
    """Measure every library."""
    return Measurement(
        title=TITLE,
        method=(
            f"{TASK} with {NUM_ENVS} environments in each process, on the embedded simulator: one process, and two "
            "that torchrun starts and that average their gradients through gloo, in turn. Each process computes with "
            "one thread. Steps per second are those of all processes together; a ratio of 2 would be perfect, and "
            "needs two idle cores."
        ),
        notes=_notes(),
        columns=("library", *(f"processes: {count}, steps/s" for count in PROCESSES), "ratio", "pairs"),
        rows=tuple(_row(context, library) for library in LIBRARIES),
    )


def _notes() -> tuple[str, ...]:
    cores = psutil.cpu_count(logical=False) or 0
    if cores >= max(PROCESSES):
        return ()
    return (f"This machine has {cores} physical core(s): the processes share one, and cannot come near the ideal.",)


def _row(context: Context, library: RlLibrary) -> tuple[str, ...]:
    size = context.size
    training = training_config(library, NUM_ENVS, size.speed_iterations[library], CHECKPOINT_INTERVAL)
    per_iteration = steps_per_iteration(training.task, library)
    speeds: dict[int, list[float]] = defaultdict(list)
    for count in context.track(interleaved(PROCESSES, size.scaling_rounds), f"Scaling of {library}"):
        metrics = train_as_process(program(count), training, context.new_directory(f"{library}-{count}"))
        speed = steps_per_second(metrics, training, per_iteration, size.warm_up_iterations)
        speeds[count].append(count * speed)
    one, several = (speeds[count] for count in PROCESSES)
    ratio = Spread.of(paired_ratios(several, one))
    medians = (f"{Spread.of(speeds[count]).median / 1000:.1f}k" for count in PROCESSES)
    return (library, *medians, ratio.written(".2f"), str(ratio.count))


def program(processes: int) -> tuple[str, ...]:
    """Return the interpreter's arguments that start the simulator in several processes."""
    if processes == 1:
        return SIMULATOR
    return ("-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", *SIMULATOR)
