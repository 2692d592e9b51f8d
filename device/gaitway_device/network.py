"""A policy's network, as onnxruntime runs it on this robot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from gaitway_device.errors import PolicyFaultError, VersionError
from gaitway_device.version import NETWORK, Description

Array = npt.NDArray[np.float32]


class Network:
    """A network with its memory. It belongs to one thread.

    Args:
        directory: Of a version.

    Raises:
        VersionError: onnxruntime of this robot cannot load it, or it has other inputs than its description.
    """

    def __init__(self, directory: Path) -> None:
        self.description = Description.read(directory)
        options = onnxruntime.SessionOptions()
        # What a robot runs beside it must not wait for it, and a small network gains nothing from threads.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                (directory / NETWORK).read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        # It raises types of its own binary, and RuntimeError.
        except Exception as error:
            raise VersionError(
                f"onnxruntime {onnxruntime.__version__} of this robot does not load {NETWORK}: {error}"
            ) from error
        for which, tensors, there in (
            ("inputs", self.description.inputs, self._session.get_inputs()),
            ("outputs", self.description.outputs, self._session.get_outputs()),
        ):
            named, found = [tensor.name for tensor in tensors], [tensor.name for tensor in there]
            if named != found:
                raise VersionError(f"{NETWORK} has the {which} {', '.join(found)}, and not {', '.join(named)}")
        self._outputs = [tensor.name for tensor in self.description.outputs]
        self._states: list[Array] = []
        self.reset()

    def reset(self, batch: int = 1) -> None:
        """Forget what the policy remembers, as at the beginning of an episode."""
        self._states = [
            np.zeros((int(state.shape[0]), batch, int(state.shape[2])), np.float32)
            for state in self.description.inputs[1:]
        ]

    def step(self, observations: npt.ArrayLike) -> Array:
        """Act once.

        Args:
            observations: [batch, observations], with the batch of `reset`.

        Returns:
            Actions: [batch, actions].

        Raises:
            PolicyFaultError: The observations have another size, or an action is NaN or infinite.
        """
        given = np.asarray(observations, np.float32)
        if given.ndim != 2 or given.shape[1] != self.description.num_observations:
            raise PolicyFaultError(
                f"the policy was given observations of the shape {given.shape}, and takes "
                f"[batch, {self.description.num_observations}]"
            )
        inputs = dict(zip((tensor.name for tensor in self.description.inputs), (given, *self._states), strict=True))
        try:
            actions, *states = self._session.run(self._outputs, inputs)
        except Exception as error:
            raise PolicyFaultError(f"onnxruntime does not run the policy: {error}") from error
        if not np.isfinite(actions).all():
            raise PolicyFaultError("the policy gave an action that is NaN or infinite")
        self._states = states
        result: Array = actions
        return result
