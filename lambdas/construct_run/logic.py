"""Resolve a request to a RunSpec: every default filled in, every input an address that exists."""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING

from gaitway.compute.sizes import check_compute
from gaitway.contracts.errors import RunRefusedError
from gaitway.contracts.inputs import (
    AGENT_SETTINGS,
    CUSTOM_ENVIRONMENT,
    POLICY,
    RESUME_CHECKPOINT,
    given_inputs,
    names_of,
)
from gaitway.contracts.request import Request, parse_request
from gaitway.contracts.run import CONTINUING, ConstructedRun, RunSpec
from gaitway.contracts.workload import RANDOM_SEED, EvaluationConfig, TrainingConfig, WorkloadConfig
from gaitway.workloads import workload_of
from gaitway.workloads.simulators import choose_simulator
from lambdas.construct_run.continued import continue_run
from lambdas.construct_run.packages import check_packages
from lambdas.construct_run.policy import check_policy, check_settings, find_policy
from lambdas.live_view import check_live_view
from lambdas.observability import logger

if TYPE_CHECKING:
    from gaitway.aws.run_table import RunTable
    from gaitway.compute.sizes import BackendSizes
    from gaitway.contracts.inputs import InputFile
    from gaitway.contracts.message import Message
    from gaitway.contracts.pipeline import ConstructRunEvent
    from gaitway.libraries.simulators import Simulator
    from gaitway.workloads.simulators import Simulators
    from lambdas.construct_run.inputs import Inputs
    from lambdas.construct_run.packages import PinnedImages


class ConstructRun:
    """The construct_run function.

    Args:
        runs: The run table.
        inputs: Reads what the request points at.
        sizes: The jobs that fit the deployed instances, of each back end.
        simulators: The deployed simulators.
        images: What the images of simulators hold, as far as that is known.
        allow_live_view: Whether simulations can be looked into.
    """

    def __init__(
        self,
        runs: RunTable,
        inputs: Inputs,
        sizes: BackendSizes,
        simulators: Simulators,
        images: PinnedImages = MappingProxyType({}),
        *,
        allow_live_view: bool = False,
    ) -> None:
        self._images = images
        self._runs = runs
        self._inputs = inputs
        self._sizes = sizes
        self._simulators = simulators
        self._allow_live_view = allow_live_view

    def handle(self, event: ConstructRunEvent) -> ConstructedRun:
        """Resolve a request, and write its run's specification into the record.

        Raises:
            RequestError: The request is wrong, or asks for something that is not deployed.
            InputNotFoundError: An input that it names does not exist, or cannot be read.
            RunRefusedError: The run has ended, or belongs to another execution.
        """
        request = self._read_request(event.message)
        continued: dict[str, InputFile] = {}
        if isinstance(request.training_config, TrainingConfig) and request.training_config.resume_from is not None:
            found = continue_run(request, self._runs, self._inputs)
            request, continued = found.request, found.inputs
        begun = self._runs.get(event.run_id)
        begun_in = begun.simulator if begun else None
        # launch has checked the request in the message, but not the one in a file.
        check_compute(request.compute_config, self._sizes)
        simulator = choose_simulator(request.training_config, self._simulators, begun_in).simulator
        check_live_view(request.training_config, simulator, allowed=self._allow_live_view)
        spec = self._resolve(event.run_id, event.message, request, continued, begun_in)
        if not self._runs.update(
            event.run_id,
            of_execution=event.execution_arn,
            mode=spec.training.mode,
            task=spec.training.task,
            simulator=spec.simulator,
            name=spec.name,
            group_id=spec.group_id,
            parent_run_id=spec.parent_run_id,
            spec=spec,
            schema_version=CONTINUING if continued else 1,
        ):
            raise RunRefusedError(f"{event.run_id} has ended, or was restarted by another execution")
        training = spec.training
        logger.info(
            "%s: %s %s in %s, results go to %s",
            *(spec.run_id, training.mode, training.task, spec.simulator, spec.output_files),
        )
        timeout_seconds = workload_of(training).job_seconds
        return ConstructedRun(run_id=spec.run_id, timeout_seconds=timeout_seconds)

    def _read_request(self, message: Message) -> Request:
        file = message.request_file
        return parse_request(message.request, self._inputs.read_json(file) if file else None)

    def _resolve(
        self,
        run_id: str,
        message: Message,
        request: Request,
        continued: dict[str, InputFile],
        begun_in: Simulator | None,
    ) -> RunSpec:
        simulator = choose_simulator(request.training_config, self._simulators, begun_in).simulator
        training, inputs = self._find_inputs(message, with_drawn_seed(request.training_config, run_id), simulator)
        # Once more: an evaluation has its library from its checkpoint.
        choice = choose_simulator(training, self._simulators, begun_in)
        folder = f"{training.mode}-{run_id.removeprefix('run-')[:8]}/" if message.shares_outputs else ""
        return RunSpec(
            run_id=run_id,
            name=request.name,
            description=request.description,
            group_id=request.group_id,
            parent_run_id=request.parent_run_id,
            training=training,
            compute=request.compute_config,
            simulator=choice.simulator,
            remark=choice.remark,
            inputs=inputs | continued,
            output_files=message.output_files / folder,
            output_metadata=message.output_metadata / folder if message.output_metadata else None,
            caller=message.caller,
        )

    def _find_inputs(
        self, message: Message, training: WorkloadConfig, simulator: Simulator
    ) -> tuple[WorkloadConfig, dict[str, InputFile]]:
        """Find the objects that the request names, and a policy if one is needed and none is named.

        An evaluation that names no library is given that of its checkpoint.
        """
        fields = {given.name: f"trainingConfig.{given.place}" for given in given_inputs(training)}
        found = {
            given.name: self._inputs.resolve(fields[given.name], given.path, message.folders)
            for given in given_inputs(training)
        }
        check_packages(
            {fields[name]: found[name] for name in names_of(CUSTOM_ENVIRONMENT, found)},
            training,
            [self._images[simulator]] if simulator in self._images else [],
            self._inputs,
        )
        if workload_of(training).needs_policy and POLICY not in found:
            found[POLICY] = find_policy(message.input_file, message.folders, training.library, self._inputs)
        for name in (POLICY, RESUME_CHECKPOINT):
            if name in found:
                field = fields.get(name, "the policy")
                takes_any = isinstance(training, EvaluationConfig) and "rl_library" not in training.model_fields_set
                asked = None if takes_any else training.library
                wrote = check_policy(field, name, found[name], asked, self._inputs)
                if takes_any and wrote not in (None, training.library):
                    training = training.model_copy(update={"rl_library": wrote})
                settings = check_settings(field, found[name], training, self._inputs)
                if settings is not None:
                    found[AGENT_SETTINGS] = settings
        return training, found


def with_drawn_seed(training: WorkloadConfig, run_id: str) -> WorkloadConfig:
    """Draw the seed of a run that asks for a random one.

    It is drawn from the run's id, which is random itself: a run that is constructed again has the same seed.
    """
    if training.seed != RANDOM_SEED:
        return training
    digest = hashlib.sha256(f"seed of {run_id}".encode()).digest()
    return training.model_copy(update={"seed": int.from_bytes(digest[:4]) >> 1})
