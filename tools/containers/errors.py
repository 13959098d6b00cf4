"""What keeps the containers from starting."""


class ContainersError(Exception):
    """Something that the containers need is missing or failed; the message says what and what to do."""
