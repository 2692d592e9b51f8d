"""The AWS resources that Lambdas, runner and command line share. Clients are passed in, never made at import."""
