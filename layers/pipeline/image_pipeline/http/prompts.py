"""Prompts: the words with which a client wants the caption to begin."""

import re

from image_pipeline.errors import InvalidRequestError

MAX_CHARACTERS = 100
# Control characters and lone surrogates. JSON can contain lone surrogates, but UTF-8 cannot.
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def checked(text: str) -> str:
    """Return a prompt without control characters and with single spaces between its words.

    Raises InvalidRequestError if it is too long.
    """
    if len(text) > MAX_CHARACTERS:
        raise InvalidRequestError(f"Invalid prompt. Please use at most {MAX_CHARACTERS} characters.")
    return " ".join(_NO_TEXT.sub(" ", text).split())
