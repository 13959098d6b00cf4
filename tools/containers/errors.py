"""The error of this package."""


class ContainersError(Exception):
    """Something that the containers need is missing or failed. The message says what it is and what to do."""
