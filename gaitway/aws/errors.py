"""How AWS calls fail."""

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

AWS_ERRORS: tuple[type[Exception], ...] = (ClientError, BotoCoreError, Boto3Error)
"""An error response, no response at all, and the exceptions in which boto3's transfers wrap both."""
