"""Bytes of forms that no client library would send. `Client.post_form` inserts the boundary."""

END = b"\r\n--BOUNDARY--\r\n"


def part(
    content: bytes,
    parameters: str = 'name="file"; filename="a.png"',
    media_type: str | None = None,
    encoding: str | None = None,
) -> bytes:
    """Return one field, without the line break after it. `parameters` are those of Content-Disposition."""
    declared = "" if media_type is None else f"Content-Type: {media_type}\r\n"
    declared += "" if encoding is None else f"Content-Transfer-Encoding: {encoding}\r\n"
    head = f"--BOUNDARY\r\nContent-Disposition: form-data; {parameters}\r\n{declared}\r\n"
    return head.encode() + content
