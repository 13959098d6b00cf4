"""The Lambda functions, one folder an endpoint."""
