"""A browser that is driven with the commands of W3C WebDriver, https://www.w3.org/TR/webdriver2/.

Three engines understand them: Chromium and WebKitGTK through their drivers, and Firefox, whose driver Debian does not
have, through Marionette, the protocol that geckodriver translates them to.
"""

import json
import socket
import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import requests

# A machine that also runs other tests can be slow.
_PATIENCE = 20
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element in JSON
_KEYS = {
    "Tab": "\ue004",
    "Enter": "\ue007",
    "Shift": "\ue008",
    "Escape": "\ue00c",
    "Space": " ",
    "ArrowRight": "\ue014",
}
_PATHS = {
    "Navigate": "url",
    "Back": "back",
    "Refresh": "refresh",
    "ExecuteScript": "execute/sync",
    "FindElement": "element",
    "ElementClick": "element/{id}/click",
    "ElementSendKeys": "element/{id}/value",
    "PerformActions": "actions",
    "SetWindowRect": "window/rect",
    "TakeScreenshot": "screenshot",
}
# Notes the errors of scripts in an attribute, because a command may not see the variables of another command. Returns
# those that were noted before, and forgets them.
_SCRIPT_ERRORS = """
    const {dataset} = document.documentElement;
    const found = JSON.parse(dataset.scriptErrors ?? "[]");
    if (!dataset.scriptErrors) {
        const note = (text) => {
            dataset.scriptErrors = JSON.stringify([...JSON.parse(dataset.scriptErrors), String(text)]);
        };
        addEventListener("error", ({message}) => note(message));
        addEventListener("unhandledrejection", ({reason}) => note(reason));
    }
    dataset.scriptErrors = "[]";
    return found;"""
_VISIBLE = "const visible = (css) => [...document.querySelectorAll(css)].filter((found) => found.checkVisibility());"


class WebDriverError(Exception):
    """A command failed."""


class Session(Protocol):
    """A connection to a browser."""

    def send(self, command: str, **parameters: Any) -> Any:
        """Return the value of the response, or raise WebDriverError."""


class HttpSession:
    """A session with a driver that listens on this URL."""

    def __init__(self, url: str, capabilities: dict[str, Any]) -> None:
        self._url = f"{url}/session"
        created = self._request("POST", "", {"capabilities": {"alwaysMatch": capabilities}})
        self._url += f"/{created['sessionId']}"

    def send(self, command: str, **parameters: Any) -> Any:
        path = "/" + _PATHS.get(command, command).format(**parameters)
        return self._request("GET" if command == "TakeScreenshot" else "POST", path, parameters)

    def close(self) -> None:
        self._request("DELETE", "", {})

    def _request(self, method: str, path: str, parameters: dict[str, Any]) -> Any:
        body = None if method == "GET" else parameters
        value = requests.request(method, self._url + path, json=body, timeout=60).json()["value"]
        if isinstance(value, dict) and "error" in value:
            raise WebDriverError(f"{value['error']}: {value['message']}")
        return value


class MarionetteSession:
    """A session with a Firefox that listens on this port.

    A message is the length of its JSON, a colon, and `[0, number, command, parameters]`. Its response is
    `[1, number, error, result]`.
    """

    def __init__(self, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            self._stream = connection.makefile("rwb")  # it keeps the connection open
        self._read()  # the browser introduces itself
        self.send("NewSession")

    def send(self, command: str, **parameters: Any) -> Any:
        name = command if ":" in command else f"WebDriver:{command}"
        message = json.dumps([0, 0, name, parameters]).encode()
        self._stream.write(b"%d:%s" % (len(message), message))
        self._stream.flush()
        _, _, error, result = self._read()
        if error:
            raise WebDriverError(f"{error['error']}: {error['message']}")
        return result["value"] if isinstance(result, dict) and "value" in result else result

    def close(self) -> None:
        self._stream.close()

    def run_privileged(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript that may change the browser itself."""
        self.send("Marionette:SetContext", value="chrome")
        try:
            return self.send("ExecuteScript", script=script, args=arguments)
        finally:
            self.send("Marionette:SetContext", value="content")

    def _read(self) -> Any:
        length = b""
        while (byte := self._stream.read(1)) != b":":
            if not byte:
                raise WebDriverError("Firefox closed the connection")
            length += byte
        return json.loads(self._stream.read(int(length)))


class Window:
    """A page on the screen. Its methods do what a user does, and wait for what a user sees."""

    def __init__(self, session: Session, resize: Callable[[int, int], None]) -> None:
        self._session = session
        self._resize = resize
        self._script_errors: list[str] = []

    def open(self, url: str) -> None:
        self._note_script_errors()
        # A new address of the same page would not load it.
        self._session.send("Navigate", url="about:blank")
        self._session.send("Navigate", url=url)
        self._note_script_errors()

    def back(self) -> None:
        self._note_script_errors()
        self._session.send("Back")
        self._note_script_errors()

    def reload(self) -> None:
        self._note_script_errors()
        self._session.send("Refresh")
        self._note_script_errors()

    def script_errors(self) -> list[str]:
        """Return the errors of scripts since the last call. Those while a page loads are not noted."""
        self._note_script_errors()
        found, self._script_errors = self._script_errors, []
        return found

    def run(self, script: str, *arguments: Any) -> Any:
        return self._session.send("ExecuteScript", script=script, args=arguments)

    def click(self, css: str) -> None:
        self._session.send("ElementClick", id=self._find(css))

    def write(self, css: str, text: str) -> None:
        self._session.send("ElementSendKeys", id=self._find(css), text=text)

    def choose(self, *files: Path) -> None:
        """Choose files to upload."""
        self.write("#files", "\n".join(str(file.resolve()) for file in files))

    def press(self, *keys: str) -> None:
        """Press these keys together, and release them."""
        pressed = [_KEYS[key] for key in keys]
        strokes = [{"type": "keyDown", "value": key} for key in pressed]
        strokes += [{"type": "keyUp", "value": key} for key in reversed(pressed)]
        self._session.send("PerformActions", actions=[{"type": "key", "id": "keyboard", "actions": strokes}])

    def resize(self, width: int, height: int) -> None:
        """Give the page this size, and wait until it has it."""
        self._resize(width, height)
        self._expect(lambda: self.run("return [innerWidth, innerHeight]"), [width, height])

    def screenshot(self, path: Path) -> None:
        """Write a picture of the window into a file, when the page is drawn."""
        self.run("return new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))")
        path.write_bytes(b64decode(self._session.send("TakeScreenshot", full=False)))

    def texts(self, css: str) -> list[str]:
        """Return the texts of the visible elements."""
        texts: list[str] = self.run(
            f"{_VISIBLE} return visible(arguments[0]).map((found) => found.innerText.trim())", css
        )
        return texts

    def address(self) -> str:
        """Return the path and the fragment of the address of the page."""
        address: str = self.run("return location.pathname + location.hash")
        return address

    def expect_texts(self, css: str, *texts: str) -> None:
        """Wait until these are the texts of the visible elements."""
        self._expect(lambda: self.texts(css), list(texts))

    def expect_count(self, css: str, count: int) -> None:
        """Wait until this number of elements is visible."""
        self._expect(lambda: len(self.texts(css)), count)

    def expect_address(self, address: str) -> None:
        self._expect(self.address, address)

    def expect_focus(self, css: str) -> None:
        self._expect(lambda: self.run("return document.activeElement.matches(arguments[0])", css), expected=True)

    def _note_script_errors(self) -> None:
        self._script_errors += self.run(_SCRIPT_ERRORS)

    def _find(self, css: str) -> str:
        """Return the id of the first element that fits."""
        element: str = self._session.send("FindElement", using="css selector", value=css)[_ELEMENT]
        return element

    @staticmethod
    def _expect(probe: Callable[[], Any], expected: object) -> None:
        end = time.monotonic() + _PATIENCE
        while (found := probe()) != expected and time.monotonic() < end:
            time.sleep(0.05)
        assert found == expected, f"{found} instead of {expected}"
