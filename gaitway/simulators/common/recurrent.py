"""Recurrent policies, whose hidden state is an input and an output."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class RecurrentStep(nn.Module):
    """One step of an LSTM or a GRU in basic operations, which every ONNX runtime has.

    The equations are those of docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html and torch.nn.GRU.html.

    Args:
        rnn: With one direction and no projection.
    """

    def __init__(self, rnn: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.rnn = rnn
        self.has_cell = isinstance(rnn, nn.LSTM)

    def forward(self, inputs: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Step.

        Args:
            inputs: Shape: (batch, input_size).
            states: Hidden state and, of an LSTM, cell state. Shape of each: (layers, batch, hidden_size).

        Returns:
            The last layer's output, and the new states.
        """
        layers = []
        for layer in range(self.rnn.num_layers):
            before = tuple(state[layer] for state in states)
            after = self._lstm(layer, inputs, *before) if self.has_cell else self._gru(layer, inputs, *before)
            layers.append(after)
            inputs = after[0]
        return inputs, *(torch.stack(part) for part in zip(*layers, strict=True))

    def _lstm(self, layer: int, inputs: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, ...]:
        of_inputs, of_hidden = self._products(layer, inputs, hidden)
        enter, forget, new, leave = (of_inputs + of_hidden).chunk(4, dim=-1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
        return torch.sigmoid(leave) * torch.tanh(cell), cell

    def _gru(self, layer: int, inputs: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
        of_inputs, of_hidden = self._products(layer, inputs, hidden)
        (reset_i, update_i, new_i), (reset_h, update_h, new_h) = of_inputs.chunk(3, dim=-1), of_hidden.chunk(3, dim=-1)
        update = torch.sigmoid(update_i + update_h)
        new = torch.tanh(new_i + torch.sigmoid(reset_i + reset_h) * new_h)
        return ((1 - update) * new + update * hidden,)

    def _products(self, layer: int, inputs: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        def of(kind: str) -> Any:  # noqa: ANN401
            return getattr(self.rnn, f"{kind}_l{layer}", None)

        return (
            functional.linear(inputs, of("weight_ih"), of("bias_ih")),
            functional.linear(hidden, of("weight_hh"), of("bias_hh")),
        )


class RecurrentActions(nn.Module):
    """A recurrent policy as a function of observations and states.

    Args:
        normaliser: Of observations.
        rnn: The memory.
        head: From the memory's output to actions.
    """

    def __init__(self, normaliser: nn.Module, rnn: nn.LSTM | nn.GRU, head: nn.Module) -> None:
        super().__init__()
        self.normaliser, self.step, self.head = normaliser, RecurrentStep(rnn), head

    def forward(self, observations: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Act: return actions, and the new states."""
        features, *new = self.step(self.normaliser(observations), *states)
        return self.head(features), *new


def states_of(rnn: nn.LSTM | nn.GRU) -> dict[str, tuple[int, int]]:
    """Describe the states of a memory: layers and size, by the name that rsl_rl gives in its own exports."""
    size = (rnn.num_layers, rnn.hidden_size)
    return {"h": size, "c": size} if isinstance(rnn, nn.LSTM) else {"h": size}
