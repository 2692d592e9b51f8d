"""How AWS calls fail."""

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

AWS_ERRORS: tuple[type[Exception], ...] = (ClientError, BotoCoreError, Boto3Error)
"""An answer that is an error, no answer at all, and boto3's transfers' own wrapping of both."""
