"""How AWS Batch refuses a request."""


class ClientError(Exception):
    """The request is refused: Batch's ClientException."""
