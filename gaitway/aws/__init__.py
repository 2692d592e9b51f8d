"""The AWS resources that Lambdas, runner and command line share. Clients are passed in; nothing is created at import."""
