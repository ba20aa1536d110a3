#!/usr/bin/env python3
"""Opens HTML reports of `firehose bench` in headless Chromium: no errors, no requests, every chart to be seen.

Usage: bench_page.py PAGE.html... [--out FOLDER] [--charts N]

Writes a picture of each page, light and dark, and its print as PDF to FOLDER (default: beside the page). Exits with 0
and says `skipped` where no Chromium is installed. Needs nothing but Python: it speaks the DevTools protocol over pipes.
"""

import argparse
import base64
import fcntl
import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile
import time

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
WAIT_S = 60
WIDTH = 1280
NARROW = 390

# What is wrong with the page, in words. A chart is an svg with something drawn in it that takes up room.
CHECK = """
(() => {
  const wrong = [];
  const charts = [...document.querySelectorAll('svg')];
  for (const svg of charts) {
    const name = svg.getAttribute('aria-label') || '(unnamed)';
    const box = svg.getBoundingClientRect();
    if (!svg.getAttribute('aria-label')) wrong.push('a chart has no label');
    if (box.width < 100 || box.height < 100) wrong.push(`${name}: ${box.width} x ${box.height}`);
    const drawn = [...svg.querySelectorAll('path, rect, circle')];
    if (!drawn.some(e => { const b = e.getBBox(); return b.width > 0 || b.height > 0; }))
      wrong.push(`${name}: nothing is drawn`);
    for (const text of svg.querySelectorAll('text')) {
      const t = text.getBoundingClientRect();
      if (t.left < box.left - 1 || t.right > box.right + 1 || t.top < box.top - 1 || t.bottom > box.bottom + 1)
        wrong.push(`${name}: '${text.textContent}' is cut off`);
    }
  }
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide > 0) wrong.push(`the page is ${wide} pixels too wide`);
  return {charts: charts.length, wrong, height: document.documentElement.scrollHeight};
})()
"""


class Browser:
    """A headless Chromium, spoken to over two pipes."""

    def __init__(self, program, profile):
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        # The browser reads from 3 and writes to 4; copies far above keep one from overwriting the other.
        far = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (theirs_in, theirs_out)]

        def place():
            os.dup2(far[0], 3)
            os.dup2(far[1], 4)

        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-extensions",
             "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            close_fds=False, preexec_fn=place)
        for fd in (theirs_in, theirs_out, *far):
            os.close(fd)
        self.read_fd, self.write_fd = ours_in, ours_out
        self.buffer, self.last, self.session, self.events = b"", 0, None, []

    def receive(self):
        until = time.monotonic() + WAIT_S
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read_fd], [], [], max(0, until - time.monotonic()))
            data = os.read(self.read_fd, 1 << 20) if ready else b""
            if not data:
                raise RuntimeError("the browser does not answer")
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.write_fd, data):]
        while True:
            answer = self.receive()
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait(self, method):
        while True:
            for event in self.events:
                if event.get("method") == method:
                    return
            self.events.append(self.receive())

    def attach(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self):
        os.close(self.write_fd)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.read_fd)


def complaints(events, own):
    """Errors of the console, exceptions, and requests for anything but the page itself."""
    for event in events:
        method, params = event.get("method"), event.get("params", {})
        if method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            yield f"log: {params['entry']['text']}"
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            yield f"console: {params['args']}"
        elif method == "Runtime.exceptionThrown":
            yield f"exception: {params['exceptionDetails']['text']}"
        elif method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if url != own and not url.startswith("data:"):
                yield f"it requests {url}"


def look(browser, page, out, charts_min):
    """What is wrong with one page; pictures of it are in `out` afterwards."""
    browser.events.clear()
    size = {"height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", width=WIDTH, **size)
    browser.call("Page.navigate", url=page.as_uri())
    browser.wait("Page.loadEventFired")
    wrong = []
    for scheme, width in (("light", WIDTH), ("dark", WIDTH), ("narrow", NARROW)):
        value = "dark" if scheme == "dark" else "light"
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])
        browser.call("Emulation.setDeviceMetricsOverride", width=width, **size)
        answer = browser.call("Runtime.evaluate", expression=CHECK, returnByValue=True)["result"]["value"]
        wrong += [f"{scheme}: {text}" for text in answer["wrong"]]
        if answer["charts"] < charts_min:
            wrong.append(f"{scheme}: {answer['charts']} charts instead of {charts_min} or more")
        clip = {"x": 0, "y": 0, "width": width, "height": answer["height"], "scale": 1}
        picture = browser.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        (out / f"{page.stem}-{scheme}.png").write_bytes(base64.b64decode(picture))
    browser.call("Emulation.setDeviceMetricsOverride", width=WIDTH, **size)
    printed = browser.call("Page.printToPDF", printBackground=False, preferCSSPageSize=True)["data"]
    (out / f"{page.stem}.pdf").write_bytes(base64.b64decode(printed))
    wrong += complaints(browser.events, page.as_uri())
    print(f"{page.name}: {answer['charts']} charts, {page.stat().st_size} bytes")
    return wrong


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("pages", nargs="+", type=pathlib.Path, metavar="PAGE")
    options.add_argument("--out", type=pathlib.Path, help="where pictures go (default: beside the page)")
    options.add_argument("--charts", type=int, default=1, help="how many charts a page has at least")
    options = options.parse_args()
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        print(f"skipped: none of {', '.join(BROWSERS)} is installed")
        return 0
    missing = [page for page in options.pages if not page.is_file()]
    if missing:
        names = ", ".join(map(str, missing))
        print(f"no such page: {names}")
        return 1
    failed = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        try:
            browser.attach()
            for page in options.pages:
                page = page.resolve()
                out = options.out or page.parent
                out.mkdir(parents=True, exist_ok=True)
                wrong = look(browser, page, out, options.charts)
                for text in wrong:
                    print(f"{page.name}: {text}")
                failed += bool(wrong)
        finally:
            browser.close()
    print(f"{len(options.pages) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
