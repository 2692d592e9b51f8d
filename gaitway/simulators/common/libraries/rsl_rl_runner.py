"""rsl_rl 5: a training that is watched, saves whole checkpoints, and resumes from them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from rsl_rl.runners import OnPolicyRunner
from rsl_rl.utils import LogWriter
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from gaitway.simulators.common.checkpoint_files import load_entry
from gaitway.simulators.common.errors import NotANumberError
from gaitway.simulators.common.files import written_whole
from gaitway.simulators.common.libraries.rsl_rl import (
    ANEW,
    OPTIMISER,
    as_models,
    is_of_policy,
    optimiser_of_policy,
    read,
)
from gaitway.simulators.common.libraries.rsl_rl_normalisers import SharedNormalisers
from gaitway.simulators.common.optional import warn
from gaitway.simulators.common.policy import Memory
from gaitway.simulators.common.ranks import Ranks
from gaitway.simulators.common.recurrent import RecurrentActions, states_of
from gaitway.simulators.common.watch import ENVIRONMENT, TrainingWatch


class WatchedRunner(OnPolicyRunner):  # type: ignore[misc]
    """Saves checkpoints whole, since they are uploaded during training and a signal may end it at any time."""

    _watch: TrainingWatch

    def watch(self, watch: TrainingWatch) -> None:
        """Report every iteration to this watch. Called before the training begins."""
        self._watch = watch
        self._update = self.alg.update
        self.alg.update = self._update_watched
        self._log = self.logger.log
        self.logger.log = self._log_watched
        if watch.ranks.is_distributed:
            models = [model for model in vars(self.alg).values() if isinstance(model, nn.Module)]
            self._normalisers = SharedNormalisers(models, watch.ranks)
            self._compute_returns = self.alg.compute_returns
            self.alg.compute_returns = self._compute_returns_together

    def train_on(self, iterations: int, *, init_at_random_ep_len: bool) -> None:
        """Train a number of further iterations.

        Raises:
            NotANumberError: The environment returned NaN.
        """
        try:
            OnPolicyRunner.learn(self, iterations, init_at_random_ep_len=init_at_random_ep_len)
        except ValueError as error:
            if "NaN" not in str(error):
                raise
            raise NotANumberError(ENVIRONMENT, self._watch.completed + 1) from error

    def continue_from(self, contents: dict[str, Any], completed: int, ranks: Ranks) -> None:
        """Take the rest of a checkpoint, whose networks are loaded, to train on where it was saved.

        Args:
            contents: The checkpoint's.
            completed: Iterations that it was trained for.
            ranks: The processes that train.
        """
        # With the optimiser comes the learning rate, which the adaptive schedule has moved.
        parts = {"optimizer": True, "rnd": True}
        if is_of_policy(contents):
            state = optimiser_of_policy(contents, self.alg._raw_actor, self.alg._raw_critic)
            contents = contents | {OPTIMISER: state}
            parts["optimizer"] = state is not None
            if state is None:
                warn(ANEW)
        self.alg.load(contents, parts, strict=True)
        # The library's own loader would repeat the iteration that is done.
        self.current_learning_iteration = completed
        steps = self.cfg["num_steps_per_env"] * self.env.num_envs * ranks.world_size
        self.logger.tot_timesteps = completed * steps

    def save(self, path: str, infos: dict[str, Any] | None = None) -> None:
        """Save under rsl_rl's own name."""
        with written_whole(Path(path)) as temporary:
            super().save(str(temporary), infos)

    def _compute_returns_together(self, observations: Any) -> None:  # noqa: ANN401
        self._normalisers.merge()
        self._compute_returns(observations)

    def _update_watched(self) -> dict[str, float]:
        try:
            losses: dict[str, float] = self._update()
        except (RuntimeError, ValueError):
            # NaN weights would fail in the next mini-batch, with another message.
            self._watch.check({}, self._states())
            raise
        rewards = self.logger.rewbuffer
        self._watch.iteration_done(losses, self._states(), sum(rewards) / len(rewards) if rewards else None)
        return losses

    def _log_watched(self, **iteration: Any) -> None:  # noqa: ANN401
        self._log(**iteration)
        self._watch.stop_if_asked(self._save_stopped)

    def _save_stopped(self) -> Path:
        path = Path(self.logger.log_dir, f"model_{self.current_learning_iteration}.pt")
        self.save(str(path))
        self.logger.stop_logging_writer()
        return path

    def _states(self) -> dict[str, Iterable[Tensor]]:
        return {
            f"the weights of the {name}": getattr(self.alg, name).state_dict().values() for name in ("actor", "critic")
        }


class LiveWriter(SummaryWriter, LogWriter):  # type: ignore[misc]
    """TensorBoard events that can be followed during training: rsl_rl's own are up to ten seconds late."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir, flush_secs=1)

    def stop(self) -> None:
        """Write the remaining events."""
        self.close()


def load_networks(runner: OnPolicyRunner, path: Path, settings: dict[str, str], device: torch.device) -> dict[str, Any]:
    """Load networks from a checkpoint of any release into a runner, and return the checkpoint's contents.

    Args:
        runner: The runner.
        path: The checkpoint.
        settings: By network, the agent's setting that decides whether it fits, with its value.
        device: Where the runner is.

    Raises:
        RequestError: It is not a checkpoint of rsl_rl, or does not fit.
    """
    contents = as_models(read(path, device))
    for name, setting in settings.items():
        load_entry(getattr(runner.alg, name).load_state_dict, contents, f"{name}_state_dict", setting, path)
    return contents


def recurrent(actor: Any, clip: nn.Module) -> tuple[nn.Module, Memory]:  # noqa: ANN401
    """Take the parts of rsl_rl's `RNNModel`, whose own export keeps the memory of one robot inside."""
    rnn = actor.rnn.rnn
    head = nn.Sequential(actor.mlp, actor.distribution.as_deterministic_output_module(), clip)
    return RecurrentActions(actor.obs_normalizer, rnn, head), Memory(states_of(rnn), actor.reset)
