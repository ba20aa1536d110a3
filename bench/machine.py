"""What a record says of the machine that it was made on."""

import pathlib
import subprocess

SYSCTLS = """net.ipv4.tcp_congestion_control net.core.default_qdisc net.ipv4.tcp_rmem net.ipv4.tcp_wmem
net.core.rmem_max net.core.wmem_max net.core.somaxconn net.ipv4.ip_local_port_range net.ipv4.tcp_tw_reuse""".split()


def output(*command, cwd=None):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=cwd)
        return (done.stdout or done.stderr).strip()
    except (OSError, subprocess.TimeoutExpired) as failure:
        return str(failure)


def machine(tools, root):
    """The machine and the programs, as they were when the runs began."""
    lines = [output("uname", "-srvm"), output("lscpu"), output("free", "-m"), ""]
    for name in SYSCTLS:
        path = pathlib.Path("/proc/sys") / name.replace(".", "/")
        lines.append(f"{name} = {path.read_text().strip() if path.exists() else 'absent'}")
    vulnerabilities = pathlib.Path("/sys/devices/system/cpu/vulnerabilities")
    lines += [f"{path.name}: {path.read_text().strip()}" for path in sorted(vulnerabilities.glob("*"))]
    lines += ["", f"open files: {output('sh', '-c', 'ulimit -n')}"]
    lines += [f"load average at the start: {pathlib.Path('/proc/loadavg').read_text().strip()}", ""]
    lines += [output("rustc", "--version"), "firehose commit: " + output("git", "describe", "--always", "--dirty", cwd=root)]
    lines += [output(tools["mosquitto"], "-h").splitlines()[0], output("dpkg-query", "-W", "mosquitto")]
    return "\n".join(lines) + "\n"
