"""MQTT.js in headless Chromium, over WebSocket and secure WebSocket: browser.py MQTT_JS WS WSS (ports)

Exits with 0 and says `skipped` where no Chromium is installed.
"""

import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from bench_page import BROWSERS, Browser  # noqa: E402

SCRIPT = """
(async () => {
  const seen = [];
  for (const url of ['ws://localhost:%s/mqtt', 'wss://localhost:%s/mqtt']) {
    const client = await mqtt.connectAsync(url, {username: 'infra', password: 'secret', reconnectPeriod: 0, protocolVersion: 5});
    let arrived = 0;
    const all = new Promise(done => client.on('message', (topic, payload) => {
      seen.push(payload.length);
      arrived += 1;
      if (arrived === 3) done();
    }));
    await client.subscribeAsync('browser/#', {qos: 1});
    for (const size of [1, 300, 100000]) await client.publishAsync('browser/x', 'x'.repeat(size), {qos: 1});
    await all;
    await client.endAsync();
  }
  return seen;
})()
"""


def main():
    library, ws, wss = sys.argv[1:]
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        print("skipped: no Chromium is installed")
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page = pathlib.Path(folder) / "page.html"
        page.write_text(f"<!doctype html><title>bus</title><script>{pathlib.Path(library).read_text()}</script>")
        browser = Browser(program, f"{folder}/profile")
        try:
            browser.attach()
            browser.call("Security.setIgnoreCertificateErrors", ignore=True)
            browser.call("Page.navigate", url=page.as_uri())
            browser.wait("Page.loadEventFired")
            answer = browser.call(
                "Runtime.evaluate", expression=SCRIPT % (ws, wss), awaitPromise=True, returnByValue=True
            )
            assert answer["result"].get("value") == [1, 300, 100000] * 2, answer
        finally:
            browser.close()


main()
