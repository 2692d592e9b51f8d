"""What a run leaves, from its directory on EFS to S3: shared by the runner and by whoever salvages what it left there.

boto3 and pydantic are all that is needed: this is part of the Lambda functions' code. Clients are passed in.
"""
