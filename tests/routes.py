"""The routes of the API as their functions declare them, and the names that follow from a folder in functions/."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from inspect import unwrap
from typing import Any

from image_pipeline.http import handler
from tools import template

FOLDERS = sorted(app.parent.name for app in (template.ROOT / "functions").glob("*/app.py"))


@dataclass(frozen=True)
class Declared:
    """A route and the folder of its function, such as get_stats."""

    folder: str
    route: handler.Route

    @property
    def name(self) -> str:
        """The beginning of the logical ids of the function, its role and its log group, such as GetStats."""
        return logical_name(self.folder)

    @property
    def handler(self) -> Callable[..., Any]:
        return handler_in(self.folder)

    @property
    def function(self) -> str:
        return f"{self.name}Function"

    @property
    def operation(self) -> str:
        """The operationId in the OpenAPI document, such as getStats."""
        return self.name[0].lower() + self.name[1:]

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that lead to the function. A GET route also responds to HEAD."""
        return (self.route.method, "HEAD") if self.route.method == "GET" else (self.route.method,)


def declared() -> Iterator[Declared]:
    for folder in FOLDERS:
        if route := handler.ROUTES.get(unwrap(handler_in(folder))):
            yield Declared(folder, route)


def handler_in(folder: str) -> Callable[..., Any]:
    found: Callable[..., Any] = import_module(f"functions.{folder}.app").lambda_handler
    return found


def logical_name(folder: str) -> str:
    return "".join(word.capitalize() for word in folder.split("_"))
