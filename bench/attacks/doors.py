"""Listeners of every transport beside the plain one, a certificate for them, and configurations to reload in turn."""

import base64
import hashlib
import os
import ssl
import subprocess

from broker import free_port, listening

LISTENERS = """max_queued_messages 100000
password_file {folder}/flows.passwords
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
USER, PASSWORD = "flows", b"counted"
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
        self.login = (USER, PASSWORD)
        self.ports = {"tcp": port, "tls": tls, "ws": ws, "wss": wss}
        self.path, self.texts = None, ()
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", f"{self.folder}/flows.key",
             "-out", f"{self.folder}/flows.crt"], check=True, capture_output=True)
        # Whoever has proved a name has a share of the memory that strangers cannot take.
        salt = os.urandom(12)
        hashed = hashlib.pbkdf2_hmac("sha512", PASSWORD, salt, 101)
        line = f"{USER}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(hashed).decode()}\n"
        (self.folder / "flows.passwords").write_text(line)
        # The broker becomes an ordinary user, and reads them again at each reload.
        os.chmod(self.folder, 0o755)
        os.chmod(self.folder / "flows.key", 0o644)
        grant = "topic readwrite #\ntopic readwrite $SYS/#\n"
        (self.folder / "all.acl").write_text(f"{grant}user {USER}\n{grant}")
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
