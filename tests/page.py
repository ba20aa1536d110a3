#!/usr/bin/env python3
"""Opens the broker's page in headless Chromium against a broker under load: no errors, no foreign requests, and in each panel the
figure that the API has; wide and narrow, light and dark, and by keyboard.

Usage: page.py FIREHOSE [--out FOLDER] [--pictures FOLDER]

FIREHOSE is the program. Pictures go to FOLDER. With --pictures nothing is tested: the pictures of docs/observing.md are made, which takes two minutes. Exits with 0 and says `skipped` where no Chromium is installed. Needs nothing but Python:
clients speak MQTT over sockets of their own here.
"""

import argparse
import base64
import json
import math
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from bench_page import BROWSERS, NARROW, WIDTH, Browser  # noqa: E402

USER, PASSWORD = "ann", "right"
# Pixels of the narrowest telephones that are in use.
NARROWEST = 360
SUBSCRIBERS = 20
RATE = 100
PATIENCE_S = 30
# What a client may call itself; none of it is markup.
EVIL = "<img src=x onerror=document.title='hurt'>"


def text(value):
    encoded = value.encode()
    return struct.pack(">H", len(encoded)) + encoded


def packet(head, body):
    size, out = len(body), bytearray([head])
    while True:
        size, byte = size >> 7, size & 127
        out.append(byte | (128 if size else 0))
        if not size:
            return bytes(out) + body


class Client:
    """A client that is connected, and reads all that comes unless it is slow."""

    def __init__(self, port, name, version=5, filters=(), is_slow=False):
        self.socket = socket.socket()
        if is_slow:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", port))
        nothing = b"\0" if version == 5 else b""
        login = text(USER) + text(PASSWORD)
        self.send(packet(0x10, text("MQTT") + bytes([version, 0xC2, 0, 0]) + nothing + text(name) + login))
        self.expect(0x20)
        for one in filters:
            self.send(packet(0x82, b"\0\1" + nothing + text(one) + b"\0"))
            self.expect(0x90)
        self.version, self.received = version, 0
        if not is_slow:
            threading.Thread(target=self.read, daemon=True).start()

    def send(self, data):
        self.socket.sendall(data)

    def expect(self, head):
        start = self.socket.recv(2, socket.MSG_WAITALL)
        assert start[0] == head, start
        self.socket.recv(start[1], socket.MSG_WAITALL)

    def read(self):
        try:
            while data := self.socket.recv(1 << 16):
                self.received += len(data)
        except OSError:
            pass

    def publish(self, topic, payload, retain=False):
        nothing = b"\0" if self.version == 5 else b""
        self.send(packet(0x31 if retain else 0x30, text(topic) + nothing + payload))


class Broker:
    """A broker with listeners for MQTT, WebSocket and HTTP."""

    def __init__(self, program, folder):
        def free_port():
            with socket.socket() as found:
                found.bind(("127.0.0.1", 0))
                return found.getsockname()[1]

        folder.chmod(0o755)
        passwords = folder / "passwords"
        passwords.touch()
        subprocess.run([program, "passwd", "-b", passwords, USER, PASSWORD], check=True)
        passwords.chmod(0o644)
        self.mqtt, self.websocket, self.http = (free_port() for _ in range(3))
        config = folder / "firehose.conf"
        config.write_text(
            f"shards 2\nper_listener_settings false\npassword_file {passwords}\nallow_anonymous true\n"
            f"listener {self.mqtt} 127.0.0.1\n"
            f"listener {self.websocket} 127.0.0.1\nprotocol websockets\n"
            f"listener {self.http} 127.0.0.1\nprotocol http_api\n")
        config.chmod(0o644)
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen([program, "serve", "-c", config], stdout=self.log, stderr=subprocess.STDOUT)
        try:
            until(lambda: b" ready: " in (folder / "log").read_bytes(), "the broker does not start")
        except AssertionError:
            self.end()
            raise AssertionError((folder / "log").read_text()) from None

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=PATIENCE_S) as answer:
            return json.loads(answer.read())

    def head(self, path, **headers):
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.headers, b""

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def until(holds, otherwise):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError(otherwise)


class Load:
    """Subscribers, and a publisher with so many messages a second until it is told to stop."""

    def __init__(self, broker, rate=lambda: RATE):
        self.rate = rate
        self.clients = [
            Client(broker.mqtt, f"reader-{index}", 5 if index % 2 else 4, ["bus/#"]) for index in range(SUBSCRIBERS)
        ]
        self.clients.append(Client(broker.mqtt, EVIL, 5, ["none"]))
        self.slow = Client(broker.mqtt, "slow", 5, ["slow/#"], is_slow=True)
        self.publisher = Client(broker.mqtt, "publisher", 5)
        flood = Client(broker.mqtt, "flood", 5)
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.publish, daemon=True)
        self.thread.start()
        for _ in range(60):
            flood.publish("slow/x", b"x" * 100_000)

    def publish(self):
        number = 0
        while not self.is_over.wait(1 / self.rate()):
            number += 1
            self.publisher.publish(f"bus/{number % 5}", b'{"number": %d}' % number)

    def stop(self):
        self.is_over.set()
        self.thread.join()


class Page:
    """The page in a browser."""

    def __init__(self, browser, broker, out):
        self.browser, self.broker, self.out = browser, broker, out
        self.wrong = []

    def run(self, script):
        answer = self.browser.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def check(self, holds, words):
        if not holds:
            self.wrong.append(words)

    def size(self, width):
        self.browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width == NARROW)

    def scheme(self, value):
        self.browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def open(self, width=WIDTH, login=""):
        """`login`: NAME:PASSWORD@ in the address."""
        self.size(width)
        self.browser.events.clear()
        self.browser.call("Page.navigate", url=f"http://{login}127.0.0.1:{self.broker.http}/")
        self.browser.wait("Page.loadEventFired")
        parts = ["History", "Shards", "Memory", "Connections", "Store", "Clients", "Listeners"]
        ready = " && ".join(f"document.body.dataset.has{part} === 'yes'" for part in parts)
        until(lambda: self.run(ready), "a panel has no answer")

    def value(self, place):
        return self.run(f"document.querySelector({json.dumps(place)})?.dataset.value")

    def key(self, name, code, letter=None):
        press = {"key": name, "code": name, "windowsVirtualKeyCode": code}
        if letter:
            press["text"] = letter
        self.browser.call("Input.dispatchKeyEvent", type="keyDown", **press)
        self.browser.call("Input.dispatchKeyEvent", type="keyUp", **press)

    def look(self, name):
        """Takes a picture; nothing is cut off or wider than the window."""
        width = self.run("document.documentElement.clientWidth")
        wide = self.run("document.documentElement.scrollWidth") - width
        self.check(wide <= 0, f"{name}: the page is {wide} pixels too wide")
        covered = self.run(
            "[...document.querySelectorAll('#clients-rows tr')].flatMap((row) => { const boxes = [...row.cells].map((c) => c.getBoundingClientRect());"
            " return boxes.flatMap((a, i) => boxes.slice(i + 1).filter((b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1"
            " && b.top < a.bottom - 1).map(() => row.cells[i].textContent)); }).join()")
        self.check(covered == "", f"{name}: lies below another cell: {covered}")
        blank = self.run(
            "[...document.querySelectorAll('canvas')].filter((canvas) => {"
            " const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {willReadFrequently: true});"
            " copy.drawImage(canvas, 0, 0);"
            " return !copy.getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte > 0);"
            "}).map((canvas) => canvas.id).join()")
        self.check(blank == "", f"{name}: nothing is drawn in {blank}")
        cut = self.run(
            "[...document.querySelectorAll('dd, h2, button, th')].filter((e) => e.offsetParent && e.scrollWidth > e.clientWidth + 1"
            " && getComputedStyle(e).display !== 'inline').map((e) => e.textContent).join()")
        self.check(cut == "", f"{name}: cut off: {cut}")
        height = self.run("document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        picture = self.browser.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        (self.out / f"page-{name}.png").write_bytes(base64.b64decode(picture))

    def complaints(self, expected=()):
        """What the console says, and requests for another origin."""
        own = (f"http://127.0.0.1:{self.broker.http}/", f"http://{USER}:{PASSWORD}@127.0.0.1:{self.broker.http}/", f"ws://127.0.0.1:{self.broker.websocket}/", "data:")
        for event in self.browser.events:
            method, params = event.get("method"), event.get("params", {})
            if method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                if not any(words in params["entry"]["text"] for words in expected):
                    self.wrong.append(f"log: {params['entry']['text']} {params['entry'].get('url', '')}")
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                self.wrong.append(f"console: {params['args']}")
            elif method == "Runtime.exceptionThrown":
                self.wrong.append(f"exception: {params['exceptionDetails']}")
            elif method == "Network.requestWillBeSent" and not params["request"]["url"].startswith(own):
                self.wrong.append(f"it requests {params['request']['url']}")
        self.browser.events.clear()


def close_to(shown, wanted, share=0.02):
    return shown not in (None, "") and abs(float(shown) - wanted) <= share * max(abs(wanted), 1)


def under_load(page):
    """Rates are those of the load, and those of the API."""
    def last():
        columns = page.broker.get("/api/v1/history")["seconds"]["columns"]
        return {name: values[-1] for name, values in columns.items()}

    until(lambda: float(page.value("#now-in") or 0) > RATE / 2, "no rate in")
    until(lambda: float(page.value("#now-out") or 0) > SUBSCRIBERS * RATE / 2, "no rate out")
    until(lambda: close_to(page.value("#now-ratio"), SUBSCRIBERS, 0.1), f"the ratio is {page.value('#now-ratio')}")
    point = last()
    rate = 1000 * point["publish_received"] / point["milliseconds"]
    page.check(abs(rate - RATE) < RATE / 2, f"the history has {rate} messages a second")
    for name in ("p50", "p99"):
        value = page.value(f"#now-{name}")
        page.check(value and 0 < float(value) < 60e6, f"delivery {name} is {value}")
    busy = "[...document.querySelectorAll('#shards-rows tr')].map((row) => row.cells[1].dataset.value)"
    until(lambda: len(page.run(busy)) == 2 and "" not in page.run(busy), "how busy shards are is not shown")
    chart_by_keyboard(page)


def chart_by_keyboard(page):
    """By keyboard a chart can be read point by point. As many points as are gone through have to be there: a second after its start a
    broker has one."""
    page.run("document.getElementById('messages-chart').focus()")

    def press(name, code):
        """The age of the point that is told of after a key, in seconds; 0 is now."""
        page.key(name, code)
        note = page.run("document.getElementById('messages-note').textContent")
        found = re.match(r"(?:now|−(\d+) s): ", note)
        assert found, f"a chart says {note!r}"
        return int(found[1] or 0)

    until(lambda: press("Home", 36) > 4, "the chart has no five seconds")
    until(lambda: press("End", 35) == 0, "End does not go to the newest point")
    # A point that is chosen stays so while newer ones come.
    ages = [press("ArrowLeft", 37) for _ in range(3)]
    page.check(ages[0] >= 1 and ages[1] > ages[0] and ages[2] > ages[1], f"to the left a chart tells of {ages} seconds ago")
    until(lambda: press("ArrowRight", 39) == 0, "to the right a chart does not come to now")
    page.run("document.activeElement.blur()")


def at_rest(page):
    """Each panel has the figures of the API, when nothing moves."""
    def same():
        wrong = []

        def compare(place, value):
            shown = page.value(place)
            if shown != ("" if value is None else str(value).lower() if isinstance(value, bool) else str(value)):
                wrong.append(f"{place} shows {shown}, the API has {value}")

        columns = page.broker.get("/api/v1/history")["seconds"]["columns"]
        for place, name in (("connected", "clients_connected"), ("waiting", "outbound_bytes"), ("in", "publish_received")):
            compare(f"#now-{place}", columns[name][-1])
        for shard in page.broker.get("/api/v1/shards")["shards"]:
            row = f"#shards-rows tr[data-key='{shard['shard']}']"
            for cell, name in ((4, "connections"), (5, "publish_received"), (6, "publish_sent"), (7, "outbound_bytes")):
                compare(f"{row} :nth-child({cell})", shard["figures"][name])
        memory = page.broker.get("/api/v1/memory")
        compare("#ladder", memory["rung"])
        for name in ("program", "connections", "outbound", "subscriptions", "retained"):
            account = memory["accounts"][name]
            compare(f"#accounts-rows tr[data-key='{name}'] :nth-child(3)", account["used"])
            compare(f"#accounts-rows tr[data-key='{name}'] :nth-child(4)", account["limit"])
        connections = page.broker.get("/api/v1/connections")
        for table in ("versions", "transports"):
            for name, value in connections[table].items():
                compare(f"#{table}-rows tr[data-key='{name}'] td", value)
        for one in page.broker.get("/api/v1/topics?limit=10")["items"][:1]:
            compare(f"#busiest-rows tr[data-key='{one['topic']}'] th", one["topic"])
        clients = page.broker.get("/api/v1/clients?limit=10&connected=true&sort=lag")["items"]
        for client in clients[:1]:
            row = f"#clients-rows tr[data-key='{client['client_id']}']"
            for cell, name in ((5, "bytes_waiting"), (6, "messages_waiting"), (8, "slow_consumer_policy")):
                compare(f"{row} :nth-child({cell})", client[name])
        for index, listener in enumerate(page.broker.get("/api/v1/listeners")["listeners"]):
            row = f"#listeners-rows tr[data-key='{index}']"
            for cell, name in ((1, "port"), (2, "protocol"), (3, "tls"), (4, "allow_anonymous")):
                compare(f"{row} :nth-child({cell})", listener[name])
        compare("#store-state", page.broker.get("/api/v1/store")["state"])
        figures = [shard["figures"] for shard in page.broker.get("/api/v1/shards")["shards"]]
        login = sum(one["connects_refused_login"] for one in figures)
        compare("#refusals-rows tr[data-key='connects_refused_login'] td", login)
        found[:] = wrong
        return not wrong

    def has_ceased():
        columns = page.broker.get("/api/v1/history")["seconds"]["columns"]
        return columns["publish_received"][-1] == columns["publish_sent"][-1] == 0

    until(has_ceased, "the load goes on")
    found = []
    try:
        until(same, "")
    except AssertionError:
        page.wrong += found


def topics(page, publisher):
    """What comes is shown as it is: text, bytes, and what would be markup."""
    # What is no filter is told as it is typed, and not asked for.
    for wrong in ("a/#/b", "a+/b", "$share/x", "$share/+/a"):
        fault = page.run(f"""(() => {{
            const field = document.getElementById('topics-filter');
            field.value = {json.dumps(wrong)};
            field.dispatchEvent(new Event('input'));
            const fault = document.getElementById('topics-fault').textContent;
            document.getElementById('topics-form').requestSubmit();
            return fault + document.getElementById('topics-status').textContent;
        }})()""")
        page.check(fault.startswith("This is no filter: ") and "Connecting" not in fault, f"{wrong}: {fault!r}")
    page.run(f"""(() => {{
        const set = (id, value) => {{ document.getElementById(id).value = value; }};
        set('topics-user', {json.dumps(USER)}); set('topics-password', {json.dumps(PASSWORD)}); set('topics-filter', 'seen/#');
        document.getElementById('topics-form').requestSubmit();
    }})()""")
    until(lambda: "Subscribed" in page.run("document.getElementById('topics-status').textContent"), "the topic browser does not connect")
    payloads = {"seen/text": "grüße".encode(), "seen/bytes": b"\x00\xff\x10", "seen/control": b"a\x01b",
                f"seen/{EVIL}": b"<b>bold</b>", "seen/long": b"y" * 200_000}
    for topic, payload in payloads.items():
        publisher.publish(topic, payload)
    open_all = "for (const one of document.querySelectorAll('#topics-tree details')) one.open = true"
    until(lambda: page.run(f"{open_all}; document.querySelectorAll('#topics-tree .topic').length") == 6, "topics are missing")
    shown = page.run("Object.fromEntries([...document.querySelectorAll('#topics-tree .topic')].map((one) => "
                     "[one.querySelector('.level').textContent, one.querySelector('.payload').textContent]))")
    page.check(shown["text"] == "grüße", f"text: {shown}")
    page.check(shown["bytes"] == "00 ff 10", f"bytes: {shown}")
    page.check(shown["control"] == "61 01 62", f"control characters: {shown}")
    page.check(shown[EVIL] == "<b>bold</b>", f"markup: {shown}")
    page.check(len(shown["long"]) < 130, f"a long payload has {len(shown['long'])} letters")
    page.run("[...document.querySelectorAll('#topics-tree .topic')].find((one) => one.textContent.startsWith('long')).click()")
    facts = page.run("document.getElementById('topics-detail-facts').textContent")
    page.check("200 kB" in facts, f"a long payload: {facts}")


def trace(page):
    """A client is traced from its row, by keyboard; what comes is shown as text, held while it is paused, and ends with a button."""
    lines = "[...document.querySelectorAll('#trace-lines li')].map((one) => one.textContent)"
    row = "[...document.querySelectorAll('#clients-rows tr')].find((row) => row.dataset.key.startsWith('reader-'))"
    until(lambda: page.run(f"Boolean({row})"), "no client of the load is in the list")
    name = page.run(f"{row}.dataset.key")
    page.run(f"{row}.querySelector('button:last-of-type').focus()")
    page.key("Enter", 13, "\r")
    until(lambda: f"Looking at client {name}." == page.run("document.getElementById('trace-status').textContent"), "a trace does not begin")
    until(lambda: any("PUBLISH" in one and "bus/" in one and '"number"' in one for one in page.run(lines)), "no PUBLISH is traced")
    page.check(page.run("document.activeElement.id") == "trace-stop", "the focus does not follow to the trace")
    page.run("document.getElementById('trace-pause').click()")
    held = page.run(lines)
    until(lambda: "wait" in page.run("document.getElementById('trace-passed').textContent"), "nothing waits while it is paused")
    page.check(page.run(lines) == held, "lines come while it is paused")
    page.run("document.getElementById('trace-pause').click()")
    until(lambda: len(page.run(lines)) == 300, "lines are not as many as there may be")
    time.sleep(1)
    page.check(len(page.run(lines)) == 300, "there are more lines than there may be")
    page.run("document.getElementById('trace-stop').click()")
    held = page.run(lines)
    time.sleep(1)
    page.check(page.run(lines) == held, "lines come when it is stopped")
    page.run("""(() => {
        const set = (id, value) => { document.getElementById(id).value = value; };
        set('trace-kind', 'topic'); set('trace-name', 'seen/#'); document.getElementById('trace-form').requestSubmit();
    })()""")
    until(lambda: "messages to seen/#" in page.run("document.getElementById('trace-status').textContent"), "topics are not traced")


def traced(page, publisher):
    """What is published is shown as it is, and a broker without viewers has no traces."""
    publisher.publish(f"seen/{EVIL}", b"<b>bold</b>")
    lines = "[...document.querySelectorAll('#trace-lines li')].map((one) => one.textContent)"
    until(lambda: any(EVIL in one and "<b>bold</b>" in one and "from" in one for one in page.run(lines)), "a message is not traced")
    page.run("document.getElementById('trace-stop').click()")

    def traces():
        return sum(shard["figures"]["traces"] for shard in page.broker.get("/api/v1/shards")["shards"])

    until(lambda: traces() == 0, "a trace stays without its viewer")


def narrow_trace(page, publisher):
    """On a telephone lines are folded, however long what clients have chosen is."""
    page.run("""(() => {
        const set = (id, value) => { document.getElementById(id).value = value; };
        set('trace-kind', 'topic'); set('trace-name', 'long/#'); document.getElementById('trace-form').requestSubmit();
    })()""")
    until(lambda: "messages to long/#" in page.run("document.getElementById('trace-status').textContent"), "topics are not traced")
    publisher.publish("long/" + 200 * "x", 100 * b"y")
    publisher.publish("long/y", b"a few words")
    until(lambda: page.run("document.querySelectorAll('#trace-lines li').length") == 2, "messages are not traced")
    wide = page.run("Math.max(...[...document.querySelectorAll('#trace-lines *')].map((one) => one.getBoundingClientRect().right))")
    page.check(wide <= NARROW, f"a line of a trace is {wide} pixels wide")
    page.look("narrow-trace")
    page.run("document.getElementById('trace-stop').click()")


def disconnect(page, login, expected):
    """Asks first, by keyboard; the browser asks for a user, and is given one or none; the page shows what has come of it."""
    def event(method):
        page.browser.wait(method)
        found = next(one for one in page.browser.events if one.get("method") == method)
        page.browser.events.remove(found)
        return found["params"]["requestId"]

    page.browser.call("Fetch.enable", handleAuthRequests=True, patterns=[{"urlPattern": "*/api/v1/clients/*"}])
    press = ("[...document.querySelectorAll('#clients-rows tr')].find((row) => row.dataset.key === 'slow')"
             ".querySelector('button')")
    page.run(f"{press}.focus()")
    page.key("Enter", 13, "\r")
    page.check(page.run("document.getElementById('disconnect').open"), "nothing asks whether to disconnect")
    name = page.run("document.getElementById('disconnect-client').textContent")
    page.check(name == "slow", f"it would disconnect {name}")
    page.key("Escape", 27)
    page.check(not page.run("document.getElementById('disconnect').open"), "Escape does not leave the question")
    page.check(page.run(f"document.activeElement === {press}"), "the focus is lost")
    page.key("Enter", 13, "\r")
    page.run("document.querySelector('#disconnect-form button[type=submit]').focus()")
    page.key("Enter", 13, "\r")
    page.browser.call("Fetch.continueRequest", requestId=event("Fetch.requestPaused"))
    page.browser.call("Fetch.continueWithAuth", requestId=event("Fetch.authRequired"), authChallengeResponse=login)
    told = "document.getElementById('clients-told').textContent"
    try:
        until(lambda: expected in page.run(told), "")
    except AssertionError:
        page.wrong.append(f"{expected!r} is not said, but {page.run(told)!r}")
    page.browser.call("Fetch.disable")


def by_keyboard(page):
    """Every button and field is reached by Tab, and seen when it is."""
    page.run("document.activeElement.blur(); scrollTo(0, 0)")
    wanted = set(page.run(
        "[...document.querySelectorAll('button, select, input, canvas, a[href]')].filter((e) => e.checkVisibility() && !e.disabled"
        " && !e.closest('dialog')).map((e, index) => e.dataset.mark = String(index))"))
    unseen = []
    for _ in range(3 * len(wanted) + 20):
        page.key("Tab", 9)
        mark, outline = page.run("[document.activeElement.dataset.mark, getComputedStyle(document.activeElement).outlineStyle]")
        if mark is not None:
            wanted.discard(mark)
            if outline == "none":
                unseen.append(mark)
        if not wanted:
            break
    page.check(not wanted, f"not reached by Tab: {sorted(wanted)}")
    page.check(not unseen, f"focus is not seen: {unseen}")


def headers(broker, wrong):
    """Kept by the browser, asked for anew; nothing of elsewhere runs."""
    status, found, body = broker.head("/")
    policy = found.get("Content-Security-Policy", "")
    for words in ("default-src 'self'", "connect-src 'self' ws: wss:", "frame-ancestors 'none'"):
        if words not in policy:
            wrong.append(f"the policy is {policy!r}")
    if broker.head("/", **{"If-None-Match": found["ETag"]})[0] != 304:
        wrong.append("it is not known again by its tag")
    if status != 200 or b"<title>firehose</title>" not in body:
        wrong.append("there is no page at /")


def whole(browser, broker, out):
    """All of it; what is wrong, in words."""
    load = Load(broker)
    page = Page(browser, broker, out)
    headers(broker, page.wrong)
    refused = socket.create_connection(("127.0.0.1", broker.mqtt))
    refused.sendall(packet(0x10, text("MQTT") + bytes([4, 0xC2, 0, 0]) + text("x") + text(USER) + text("wrong")))
    refused.recv(4)
    page.scheme("light")
    page.open()
    under_load(page)
    time.sleep(8)
    page.look("light")
    page.scheme("dark")
    time.sleep(0.5)
    page.look("dark")
    trace(page)
    page.look("trace")
    traced(page, load.publisher)
    load.stop()
    at_rest(page)
    topics(page, load.publisher)
    by_keyboard(page)
    page.look("topics")
    page.complaints()
    # Without a user nothing is changed.
    disconnect(page, {"response": "CancelAuth"}, "refused")
    page.complaints(expected=["401"])
    login = {"response": "ProvideCredentials", "username": USER, "password": PASSWORD}
    disconnect(page, login, "slow: disconnected")
    page.check(page.run("document.title") == "firehose", "a name of a client has run as a script")
    page.complaints()
    page.scheme("light")
    page.open(NARROW)
    time.sleep(3)
    page.look("narrow")
    page.size(NARROWEST)
    time.sleep(0.5)
    page.look("narrowest")
    page.size(NARROW)
    narrow_trace(page, load.publisher)
    page.run("document.getElementById('theme').click(); document.getElementById('theme').click()")
    theme = page.run("getComputedStyle(document.documentElement).colorScheme")
    page.check(theme == "dark", f"the switch gives {theme}")
    page.look("narrow-dark")
    # Who has put his name and password into the address sees the same.
    page.open(login=f"{USER}:{PASSWORD}@")
    page.check(page.run("document.body.dataset.failed") in (None, ""), "with a name in its address the page fails")
    # An hour, which has hardly begun.
    page.run("document.querySelector('[data-span=\"3600\"]').click()")
    page.complaints()
    broker.end()
    until(lambda: "does not answer" in page.run("document.getElementById('trouble').textContent"), "its end is not told")
    return page.wrong


# Of the page that is shown in docs: what stands above the tables, and how long there is load before.
PICTURE_WIDTH = 1120
PICTURE_HEIGHT = 1070
PICTURE_S = 110
PICTURE_BYTES_MAX = 150_000


def pictures(browser, broker, out):
    """The pictures of docs: light and dark, of a load that rises and falls."""
    began = time.monotonic()
    load = Load(broker, lambda: RATE * (1.2 + math.sin((time.monotonic() - began) / 9)))
    page = Page(browser, broker, out)
    page.scheme("light")
    page.open(PICTURE_WIDTH)
    time.sleep(PICTURE_S)
    for name in ("light", "dark"):
        page.scheme(name)
        time.sleep(1)
        clip = {"x": 0, "y": 0, "width": PICTURE_WIDTH, "height": PICTURE_HEIGHT, "scale": 1}
        picture = base64.b64decode(browser.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"])
        page.check(len(picture) <= PICTURE_BYTES_MAX, f"{name}: {len(picture)} bytes")
        (out / f"page-{name}.png").write_bytes(picture)
    load.stop()
    return page.wrong


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("firehose", type=pathlib.Path)
    options.add_argument("--out", type=pathlib.Path, help="where pictures go (default: nowhere)")
    options.add_argument("--pictures", type=pathlib.Path, help="make the pictures of docs there")
    options = options.parse_args()
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        print(f"skipped: none of {', '.join(BROWSERS)} is installed")
        return 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        folder = pathlib.Path(folder)
        out = options.pictures or options.out or folder
        out.mkdir(parents=True, exist_ok=True)
        broker = Broker(options.firehose.resolve(), folder)
        try:
            browser = Browser(program, f"{folder}/profile")
            try:
                browser.attach()
                wrong = (pictures if options.pictures else whole)(browser, broker, out)
            finally:
                browser.close()
        finally:
            broker.end()
    for words in wrong:
        print(words)
    print(f"the page: {len(wrong)} faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
