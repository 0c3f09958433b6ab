"""Load by wrk, and what it costs the server: the CPU time of its processes, whatever else the machine does."""

import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

TICK = os.sysconf("SC_CLK_TCK")
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")


class Cost(NamedTuple):
    """What wrk saw, and what the server spent."""

    cpu: float
    """Microseconds of CPU for a request."""
    rate: float
    """Requests in a second."""
    p50: float
    """Milliseconds within which half of the requests were answered."""
    p99: float
    """The same for 99 of 100."""
    memory: float
    """MiB that are resident after it."""
    failed: float
    """The share of answers that were no success, in which case the figures are of no use."""


def core(number: int) -> list[str]:
    """The beginning of a command that is to run on this core alone, where that can be had."""
    pinned = ["taskset", "-c", str(number)]
    usable = shutil.which("taskset") and subprocess.run([*pinned, "true"], check=False, capture_output=True)
    return pinned if usable and usable.returncode == 0 else []


def pin(pid: int, number: int) -> None:
    """Keep a process to one core, where that can be had."""
    with suppress(OSError):
        os.sched_setaffinity(pid, {number})


def run(pid: int, script: Path, url: str, clients: int, seconds: float) -> Cost:
    """Send the requests of a script from so many clients to a server, whose first process is `pid`."""
    command = [*core(1), "wrk", "-t1", f"-c{clients}", f"-d{seconds:.0f}s", "--latency", "-s", str(script), url]
    before = _cpu(pid)
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    spent = _cpu(pid) - before
    requests = int(_found(r"(\d+) requests in", printed) or 0)
    if not requests:
        raise SystemExit(f"tests.benchmark: no request was answered:\n{printed}")
    failed = int(_found(r"Non-2xx or 3xx responses: (\d+)", printed) or 0)
    return Cost(
        spent / requests * 1e6,
        float(_found(r"Requests/sec:\s+([\d.]+)", printed) or 0),
        _milliseconds("50%", printed),
        _milliseconds("99%", printed),
        sum(_memory(each) for each in _tree(pid)),
        failed / requests,
    )


def _found(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found and found[1]


def _milliseconds(percentile: str, text: str) -> float:
    found = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s|m)\b", text)
    return float(found[1]) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}[found[2]] if found else float("nan")


def _tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in _tree(int(child)))]


def _cpu(pid: int) -> float:
    """Seconds of CPU, in the program and in the kernel, of a process and its children."""
    fields = [Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split() for each in _tree(pid)]
    return sum(int(each[11]) + int(each[12]) for each in fields) / TICK


def _memory(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_SIZE / 2**20
