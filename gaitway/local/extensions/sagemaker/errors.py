"""What SageMaker answers to a request that it refuses."""


class SageMakerError(Exception):
    """A refusal.

    Args:
        code: `ValidationException`, `ResourceInUse`, `ResourceNotFound`.
        message: In SageMaker's words where they are known.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
