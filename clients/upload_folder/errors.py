"""Why a file is not uploaded.

RunError           no file would fare better now: the access, the URL or the quota. The run stops
StoppedError       the run was stopped while this file waited
FileError          only this file fails, for a reason that is not in the file. A later run tries it again
  UnreachableError   no useful response, even after many tries
  FormRefusedError   S3 does not accept the form of the direct upload any more
TransientError     another try may succeed
"""


class RunError(Exception):
    """No file can be uploaded at the moment. The message says what to do."""


class StoppedError(Exception):
    """The run was stopped while this file waited."""

    def __init__(self) -> None:
        super().__init__("stopped")


class FileError(Exception):
    """This file is not uploaded, for a reason that is not in the file."""


class UnreachableError(FileError):
    """There was no useful response, even after many tries."""


class FormRefusedError(FileError):
    """S3 does not accept the form any more."""


class TransientError(Exception):
    """Another try may succeed. `seconds` is how long the server wants the client to wait, if it says so."""

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds
