"""The three engines as Debian packages them, each started with its own empty profile."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.browser.webdriver import HttpSession, MarionetteSession, Window

HOST = "127.0.0.1"
# What each engine can show a page in. WebKitGTK has no forced colours.
LOOKS = {"chromium": ["light", "dark", "forced"], "firefox": ["light", "dark", "forced"], "webkit": ["light", "dark"]}
# Without these, Chromium connects to Google.
OFFLINE = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]
_FIREFOX_PREFERENCES = {
    "marionette.port": 0,  # any free port, which Firefox writes into a file
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "ui.prefersReducedMotion": 1,
}
_FIREFOX_LOOKS = {
    "light": {"layout.css.prefers-color-scheme.content-override": 1},
    "dark": {"layout.css.prefers-color-scheme.content-override": 0},
    "forced": {"browser.display.document_color_use": 2},
}
_RESIZE_FIREFOX = """
    const {style, ownerDocument} = gBrowser.selectedBrowser;
    style.width = `${arguments[0]}px`;
    style.height = `${arguments[1]}px`;
    ownerDocument.synchronouslyUpdateRemoteBrowserDimensions(true);"""
# The search bar of MiniBrowser would make a window at least 334 pixels wide.
_GTK = {
    "settings.ini": "[Settings]\ngtk-enable-animations=0\n",
    "gtk.css": "searchbar * { min-width: 0; padding: 0; }\n",
}


@contextmanager
def running(engine: str, look: str = "light") -> Iterator[Window]:
    """Start a browser with one window, and end it with the block. The block fails if a script of a page failed."""
    start = {"chromium": _chromium, "firefox": _firefox, "webkit": _webkit}[engine]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, start(look, Path(profile)) as window:
        yield window
        assert window.script_errors() == []


def program(*names: str, package: str) -> str:
    """Return the path of the first program that is installed."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    assert found, f"these tests need {names[0]}: apt-get install {package}"
    return found


@contextmanager
def _chromium(look: str, profile: Path) -> Iterator[Window]:
    arguments = [*OFFLINE, "--headless", "--no-sandbox", "--force-prefers-reduced-motion", f"--user-data-dir={profile}"]
    binary = program("chromium", "google-chrome", package="chromium")
    options = {"goog:chromeOptions": {"binary": binary, "args": arguments}}
    with _driver([program("chromedriver", package="chromium-driver")], options) as session:

        def emulate(command: str, **parameters: object) -> None:
            session.send("goog/cdp/execute", cmd=f"Emulation.{command}", params=parameters)

        def resize(width: int, height: int) -> None:
            emulate("setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

        features = {
            "prefers-color-scheme": "dark" if look == "dark" else "light",
            "forced-colors": "active" if look == "forced" else "none",
        }
        emulate("setEmulatedMedia", features=[{"name": name, "value": value} for name, value in features.items()])
        yield Window(session, resize)


@contextmanager
def _firefox(look: str, profile: Path) -> Iterator[Window]:
    preferences = {**_FIREFOX_PREFERENCES, **_FIREFOX_LOOKS[look]}
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items())
    (profile / "user.js").write_text("\n".join(lines))
    command = [program("firefox-esr", "firefox", package="firefox-esr"), "--headless", "--no-remote"]
    with _process([*command, "--profile", str(profile), "--marionette", "--remote-allow-system-access"]):
        port_file = profile / "MarionetteActivePort"
        _wait(lambda: port_file.exists() and port_file.read_text())
        with closing(MarionetteSession(int(port_file.read_text()))) as session:
            yield Window(session, lambda width, height: session.run_privileged(_RESIZE_FIREFOX, width, height))


@contextmanager
def _webkit(look: str, profile: Path) -> Iterator[Window]:
    (profile / "gtk-3.0").mkdir()
    for name, content in _GTK.items():
        (profile / "gtk-3.0" / name).write_text(content)
    driver = program("WebKitWebDriver", package="webkit2gtk-driver")
    found = sorted(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"))
    assert found, "these tests need MiniBrowser: apt-get install webkit2gtk-driver"
    arguments = ["--automation", "--full-screen", *(["--dark-mode"] if look == "dark" else [])]
    options = {"webkitgtk:browserOptions": {"binary": str(found[-1]), "args": arguments}}
    with _screen() as display:
        environment = {"DISPLAY": display, "XDG_CONFIG_HOME": str(profile), "GDK_BACKEND": "x11"}
        with _driver([driver], options, environment) as session:
            yield Window(
                session, lambda width, height: session.send("SetWindowRect", x=0, y=0, width=width, height=height)
            )


@contextmanager
def _screen() -> Iterator[str]:
    """Start an X server without a screen, and return the name of its display."""
    read, write = os.pipe()
    command = [program("Xvfb", package="xvfb"), "-displayfd", str(write), "-screen", "0", "2560x1440x24"]
    with _process([*command, "-nolisten", "tcp"], pass_fds=[write]), os.fdopen(read) as number:
        os.close(write)
        yield f":{number.readline().strip()}"


@contextmanager
def _driver(
    command: list[str], capabilities: dict[str, Any], environment: Mapping[str, str] | None = None
) -> Iterator[HttpSession]:
    """Start a driver and a browser, and end both with the block."""
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    url = f"http://{HOST}:{port}"
    with _process([*command, f"--port={port}"], environment):
        _wait(lambda: _answers(f"{url}/status"))
        with closing(HttpSession(url, capabilities)) as session:
            yield session


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=1).ok
    except requests.RequestException:
        return False


@contextmanager
def _process(
    command: list[str], environment: Mapping[str, str] | None = None, pass_fds: list[int] | None = None
) -> Iterator[None]:
    process = subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        pass_fds=pass_fds or [],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(ready: Callable[[], object]) -> None:
    end = time.monotonic() + 90
    while not ready():
        assert time.monotonic() < end, "the browser does not start"
        time.sleep(0.05)
