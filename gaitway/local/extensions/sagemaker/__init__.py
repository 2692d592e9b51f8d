"""SageMaker training jobs as local processes below SAGEMAKER_BASE_DIR; MiniStack has no SageMaker.

Supplied: CreateTrainingJob, DescribeTrainingJob, StopTrainingJob and ListTrainingJobs, checked against botocore's
model; what a container finds below /opt/ml; file systems of EFS as channels; a directory that is synchronised with S3;
several hosts; the time limit, the signal to stop and its 120 seconds; managed Spot with interruptions; and what AWS
Batch has for them: service environments, scheduling policies and service jobs. Not supplied, and refused: channels in
S3, images that SageMaker itself provides. What a container leaves in /opt/ml/model and /opt/ml/output/data is not
uploaded.
"""

from ministack import app
from ministack.core import iam_actions, router

from gaitway.local.extensions import batch
from gaitway.local.extensions.sagemaker.api import SageMakerService
from gaitway.local.extensions.sagemaker.errors import SageMakerError
from gaitway.local.extensions.sagemaker.service_queue import ServiceQueue
from gaitway.local.extensions.sagemaker.training_jobs import TrainingJobs
from gaitway.local.runtime import Runtime
from gaitway.local.services import Response, error_response, json_response

_SERVICE = "sagemaker"
INTERRUPT = "/sagemaker-spot/interrupt/"
"""Path of the request that takes the Spot instances of a training job back; its name follows."""


_queue: ServiceQueue | None = None


def register(runtime: Runtime) -> None:
    """Add the service to MiniStack's tables, and what queues its training jobs to AWS Batch."""
    global _queue
    jobs = TrainingJobs(runtime, batch.service().jobs.agent)
    _queue = ServiceQueue(batch.service().resources, jobs)
    batch.service().add(_queue, _queue.operations)
    service = SageMakerService(jobs)
    router.SERVICE_PATTERNS[_SERVICE] = {
        "target_prefixes": ["SageMaker."],
        "host_patterns": [r"^api\.sagemaker\."],
        "credential_scope": _SERVICE,
    }
    iam_actions.SERVICE_TO_IAM_NAMESPACE[_SERVICE] = _SERVICE
    app.SERVICE_REGISTRY[_SERVICE] = {"module": _SERVICE}
    app._loaded_modules[_SERVICE] = service
    app.SERVICE_HANDLERS[_SERVICE] = service.handle_request
    app._state_map[_SERVICE] = _SERVICE


def queue() -> ServiceQueue:
    """Return what queues the training jobs of this emulator."""
    assert _queue, "register first"
    return _queue


def answer(path: str) -> Response | None:
    """Answer the request that takes the Spot instances of a training job back, which is not AWS's; None for others."""
    if not path.startswith(INTERRUPT):
        return None
    try:
        queue().training.interrupt(path.removeprefix(INTERRUPT))
    except SageMakerError as error:
        return error_response(error.code, str(error))
    return json_response({})


def start() -> None:
    """Resume the jobs that were restored."""
    queue().resume()
