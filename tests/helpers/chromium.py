"""Chromium over its DevTools protocol, for tests of the page; its websocket is tornado's, which comes with Jupyter."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--remote-debugging-port=0", "--force-color-profile=srgb", "--hide-scrollbars",
)  # fmt: skip
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowRight": 39}
# before any script of the page: what goes wrong, and when it was first painted
WATCH = """
window.seenErrors = [];
addEventListener("error", (event) => window.seenErrors.push(event.message));
addEventListener("unhandledrejection", (event) => window.seenErrors.push(String(event.reason)));
document.addEventListener("securitypolicyviolation", (event) => window.seenErrors.push(event.violatedDirective));
for (const kind of ["error", "warn"]) console[kind] = (...words) => window.seenErrors.push(words.join(" "));
"""


class Chromium:
    """A running browser with one page. `open` loads a file; `run` evaluates JavaScript and returns its value."""

    def __init__(self, folder: Path) -> None:
        websocket = pytest.importorskip(
            "tornado.websocket", reason="needs tornado, which comes with Jupyter"
        )
        binary = next(filter(None, map(shutil.which, NAMES)), None)
        if binary is None:
            pytest.skip(f"needs a browser: none of {', '.join(NAMES)} on PATH")
        command = [binary, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.loop, self.ids = asyncio.new_event_loop(), itertools.count(1)
        port = self._port(folder / "profile" / "DevToolsActivePort")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=20) as answer:
            pages = [x for x in json.load(answer) if x["type"] == "page"]

        async def connect() -> Any:
            return await websocket.websocket_connect(
                pages[0]["webSocketDebuggerUrl"], max_message_size=2**27
            )

        self.socket = self.loop.run_until_complete(connect())
        for domain in ("Page", "Runtime"):
            self.send(f"{domain}.enable")
        self.send("Page.addScriptToEvaluateOnNewDocument", source=WATCH)

    def _port(self, path: Path) -> str:
        for _ in range(400):
            if path.exists() and (lines := path.read_text().splitlines()):
                return lines[0]
            time.sleep(0.05)
        raise TimeoutError(f"{path}: chromium did not start")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        number = next(self.ids)

        async def call() -> dict[str, Any]:
            await self.socket.write_message(
                json.dumps({"id": number, "method": method, "params": parameters})
            )
            while True:
                message = json.loads(await self.socket.read_message())
                if message.get("id") == number:
                    return message

        answer = self.loop.run_until_complete(asyncio.wait_for(call(), 60))
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def open(
        self, path: Path, width: int = 1280, height: int = 900, *, dark: bool = False, media: str = "",
        scripts: bool = True, hash: str = "",
    ) -> None:  # fmt: skip
        """Load a file in a window of that size, in the light or the dark theme, on the screen or for print."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media=media, features=[theme])
        self.send("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=f"{path.as_uri()}{hash}")
        self.until("document.readyState === 'complete' && location.protocol === 'file:'")

    def run(self, script: str) -> Any:
        """Return the value of an expression, awaited."""
        result = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(
                str(result["exceptionDetails"].get("exception", {}).get("description"))
            )
        return result["result"].get("value")

    def names(self, selector: str, key: str = "name") -> list[str]:
        """Return data-<key> of the elements that are not hidden."""
        found = f"[...document.querySelectorAll({json.dumps(selector)})].filter((x) => !x.hidden)"
        return self.run(f"{found}.map((x) => x.dataset.{key})")

    def until(self, condition: str, seconds: float = 20) -> None:
        """Wait until an expression is true."""
        for _ in range(int(seconds / 0.02)):
            if self.run(condition):
                return
            time.sleep(0.02)
        raise TimeoutError(condition)

    def press(self, key: str) -> None:
        """Press a key, as a reader at a keyboard does."""
        about = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        extra = {"text": "\r"} if key == "Enter" else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **about, **extra)
        self.send("Input.dispatchKeyEvent", type="keyUp", **about)

    def picture(self, path: Path, whole: bool = False) -> None:
        """Write a screenshot."""
        data = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)[
            "data"
        ]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        """End the browser."""
        self.socket.close()
        self.process.terminate()
        self.process.wait(20)
        self.loop.close()
