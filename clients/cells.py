"""Cells of a CSV file that people open with a spreadsheet program."""

import csv
from collections.abc import Iterable
from typing import TextIO

# With this encoding, Excel reads the file as UTF-8.
ENCODING = "utf-8-sig"
# A spreadsheet program takes such a cell as a formula (OWASP, CSV injection).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write_row(file: TextIO, cells: Iterable[object]) -> None:
    """Write one row. A text that a spreadsheet program would take as a formula begins with an apostrophe."""
    csv.writer(file).writerow([_without_formula(cell) for cell in cells])


def shown(name: str) -> str:
    r"""Return a file name that can be printed and written as UTF-8. Bytes that are no UTF-8 look like `\xe9`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def printed(name: str) -> str:
    """Return a file name for the terminal, in one line: control characters are escaped as well."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown(name))


def unprotected(cell: str) -> str:
    """Return the text of a cell that `write_row` has written."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA_STARTS) else cell


def _without_formula(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell
