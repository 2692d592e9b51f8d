"""A run's outputs, from its directory on EFS to S3: used by the runner and by the function that salvages a lost run.

Only boto3 and pydantic are needed: this is part of the Lambda functions' code. Clients are passed in.
"""
