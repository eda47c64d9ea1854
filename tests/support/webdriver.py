"""A browser without a screen: Chromium behind chromedriver, by the W3C protocol over plain HTTP.

The browser reaches 127.0.0.1 and nothing else.
"""

import base64
import http.client
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.ports import free_ports

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the name of references, W3C WebDriver 12
ARGUMENTS = (
    "--headless=new", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--no-default-browser-check",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-breakpad",
    "--disable-client-side-phishing-detection", "--disable-default-apps", "--disable-extensions",
    "--disable-features=OptimizationHints,MediaRouter,Translate,InterestFeedContentSuggestions",
    "--metrics-recording-only", "--password-store=basic", "--window-size=1280,900",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)  # fmt: skip


class BrowserError(Exception):
    """A command that the browser refused."""


def browser_missing() -> str:
    """What is not installed; empty when all is."""
    return " and ".join(name for name in ("chromium", "chromedriver") if not shutil.which(name))


class Browser:
    """One window; ends with the `with` block."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._port = free_ports(1)[0]
        self._driver: subprocess.Popen[bytes] | None = None
        self._session = ""

    def __enter__(self) -> "Browser":
        program, chromium = shutil.which("chromedriver"), shutil.which("chromium")
        assert program and chromium
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "TMPDIR": str(self.home),
        }
        with (self.home / "chromedriver.out").open("wb") as output:
            self._driver = subprocess.Popen(
                [program, f"--port={self._port}"],
                cwd=self.home, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        arguments = [*ARGUMENTS, f"--user-data-dir={self.home / 'chromium'}"]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")
        options = {"args": arguments, "binary": chromium}
        wanted = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}
        try:
            self._wait_for_driver()
            self._session = self._ask("POST", "/session", {"capabilities": wanted})["sessionId"]
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._command("DELETE", "")
        finally:
            self._stop()

    def _stop(self) -> None:
        """chromedriver and what it started, which is its process group."""
        driver, self._driver = self._driver, None
        if driver is not None:
            os.killpg(driver.pid, 15)
            try:
                driver.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(driver.pid, 9)
                driver.wait()

    def _wait_for_driver(self) -> None:
        end = time.monotonic() + 60
        while True:
            try:
                if self._ask("GET", "/status")["ready"]:
                    return
            except OSError:
                if time.monotonic() > end:
                    raise
            time.sleep(0.05)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            value = json.loads(response.read())["value"]
        finally:
            connection.close()
        if response.status != 200:
            raise BrowserError(f"{method} {path}: {value['error']}: {value['message'][:500]}")
        return value

    def _command(self, method: str, path: str, body: Any = None) -> Any:
        return self._ask(method, f"/session/{self._session}{path}", body)

    def open(self, url: str) -> None:
        self._command("POST", "/url", {"url": url})

    def run(self, script: str, *args: object) -> Any:
        """What the body of a function returns; it sees `arguments`."""
        return self._command("POST", "/execute/sync", {"script": script, "args": list(args)})

    def wait(self, what: str, script: str, *args: object, seconds: float = 60) -> Any:
        """Run a script until what it returns is true; that value. Pages that come and go are no failure."""
        end = time.monotonic() + seconds
        while True:
            try:
                if value := self.run(script, *args):
                    return value
                problem: object = value
            except BrowserError as exc:
                problem = exc
            if time.monotonic() > end:
                self.screenshot(self.home / "failed.png")
                raise AssertionError(f"not in {seconds} s: {what}: {problem}")
            time.sleep(0.05)

    def find(self, selector: str) -> str:
        """A reference to the first element of a CSS selector."""
        found = self._command("POST", "/element", {"using": "css selector", "value": selector})
        return str(found[ELEMENT])

    def click(self, selector: str) -> None:
        self._command("POST", f"/element/{self.find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        self._command("POST", f"/element/{self.find(selector)}/value", {"text": text})

    def forget(self) -> None:
        """Leave the site and its cookies."""
        self._command("DELETE", "/cookie")
        self.open("about:blank")

    def screenshot(self, path: Path) -> None:
        """The window as a PNG file."""
        path.write_bytes(base64.b64decode(self._command("GET", "/screenshot")))
