"""The Lambda functions, one package an endpoint."""
