"""Prompts: the words with which a client wants the caption to begin."""

from image_pipeline.errors import InvalidRequestError

LONGEST = 100


def checked(text: str) -> str:
    """Return a prompt with single spaces between its words. Raises InvalidRequestError."""
    prompt = " ".join(text.split())
    if len(prompt) > LONGEST or not prompt.isprintable():
        raise InvalidRequestError(
            f"Invalid prompt. Please use at most {LONGEST} characters, without control characters."
        )
    return prompt
