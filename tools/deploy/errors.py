"""The error of this package."""


class DeployError(Exception):
    """The deployment cannot go on. The message is one line that says what to do."""
