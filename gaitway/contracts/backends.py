"""The names of the back ends: what a job can run on."""

from __future__ import annotations

from typing import Literal

Backend = Literal["batch", "sagemaker", "hyperpod-eks", "hyperpod-slurm"]

DEFAULT_BACKEND: Backend = "batch"
"""Of a request that names none, and of a job whose id names none, as all were before there was a second back end."""

CLUSTERS: tuple[Backend, ...] = ("hyperpod-eks", "hyperpod-slurm")
"""Those whose jobs an agent beside their scheduler submits, to nodes that are there already."""
