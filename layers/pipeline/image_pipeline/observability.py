"""The structured logger of the functions; its name and level come from POWERTOOLS_* variables."""

from aws_lambda_powertools import Logger

logger = Logger()
