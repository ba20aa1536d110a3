"""Listeners of every transport beside the plain one, a certificate for them, and configurations to reload in turn."""

import ssl
import subprocess

from broker import free_port, listening

LISTENERS = """max_queued_messages 100000
listener {tls} 127.0.0.1
certfile {folder}/flows.crt
keyfile {folder}/flows.key
listener {ws} 127.0.0.1
protocol websockets
listener {wss} 127.0.0.1
protocol websockets
certfile {folder}/flows.crt
keyfile {folder}/flows.key
"""
# Different rules that grant the same, and a listener that comes and goes.
RULES = ("", "acl_file {folder}/all.acl\n", "acl_file {folder}/pattern.acl\n", "listener {more} 127.0.0.1\n")


def free_ports(number, beyond):
    ports, port = [], beyond
    while len(ports) < number:
        port += 1
        if not listening(port):
            ports.append(port)
    return ports


class Doors:
    """What the broker of a run is configured with for the flows. Needs `openssl` for the certificate."""

    def __init__(self, folder, port):
        self.folder = folder.resolve()
        tls, ws, wss, self.more = free_ports(4, port)
        self.ports = {"tcp": port, "tls": tls, "ws": ws, "wss": wss}
        self.path, self.texts = None, ()
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", f"{self.folder}/flows.key",
             "-out", f"{self.folder}/flows.crt"], check=True, capture_output=True)
        (self.folder / "all.acl").write_text("topic readwrite #\ntopic readwrite $SYS/#\n")
        (self.folder / "pattern.acl").write_text("pattern readwrite #\npattern readwrite $SYS/#\ntopic deny nobody/writes/here\n")

    def lines(self):
        """What the configuration has besides."""
        return LISTENERS.format(folder=self.folder, **self.ports)

    def reload_from(self, path):
        """The broker's file, as it is now, is the first of those that are reloaded in turn."""
        self.path, text = path, path.read_text()
        rules = (rule.format(folder=self.folder, more=self.more) for rule in RULES)
        self.texts = tuple(f"{rule}{text}" if rule.startswith("acl") else f"{text}{rule}" for rule in rules)

    def context(self):
        """What a client trusts."""
        return ssl.create_default_context(cafile=f"{self.folder}/flows.crt")
