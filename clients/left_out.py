"""The files and folders that systems and programs keep beside pictures. No command sends them to the API."""

from pathlib import PurePosixPath

# Of NAS devices, archives of macOS, recycle bins, and file systems.
FOLDERS = {"@eaDir", "@Recycle", "#recycle", "__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
FILES = {".DS_Store", "Thumbs.db", "ehthumbs.db", "desktop.ini"}
# macOS keeps the attributes of a file in a second one, such as ._photo.jpg on disks of other systems.
_ATTRIBUTES_PREFIX = "._"


def is_folder_left_out(name: str) -> bool:
    """Tell whether a folder is hidden, such as .thumbnails and .Trash-1000, or belongs to a system."""
    return name.startswith(".") or name in FOLDERS


def is_file_left_out(name: str) -> bool:
    """Tell whether a file belongs to a system. Other hidden files do not."""
    return name.startswith(_ATTRIBUTES_PREFIX) or name in FILES


def is_left_out(path: str) -> bool:
    """Tell whether a relative path with slashes, such as the key of an S3 object, has a name that is left out."""
    *folders, name = PurePosixPath(path).parts or [""]
    return is_file_left_out(name) or any(map(is_folder_left_out, folders))
