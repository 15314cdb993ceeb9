"""What the benchmarks share: running programs, what each run costs, on which machine, and tables to show it in."""
import os
import pathlib
import platform
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parent.parent
JIGPRESS = pathlib.Path(os.environ.get("JIGPRESS", ROOT / "target/release/jigpress")).resolve()
CORES = len(os.sched_getaffinity(0))
PACKAGES = ["jigdo-file", "jigit", "xorriso", "libjte2", "coreutils", "openssl", "gzip"]


class Wrong(Exception):
    """A command failed, or a result is not what it must be."""


@dataclass
class Sample:
    """What one run of a program cost."""

    seconds: float
    # User and system, in seconds, of the process and its children.
    cpu: float
    # The peak of resident memory in bytes, mapped files included, of the process or one of its children.
    resident: int
    # The peak of anonymous memory in bytes; 0 if it was not looked at.
    anonymous: int = 0
    # How many images had which outcome, and the seconds of each stage of the work, all images together.
    outcomes: dict = field(default_factory=dict)
    stages: dict = field(default_factory=dict)


class PeakMemory(threading.Thread):
    """The most anonymous memory that a process has while it runs, sampled a hundred times a second, at first more."""

    def __init__(self, process):
        super().__init__()
        self.bytes = 0
        self.status = pathlib.Path(f"/proc/{process.pid}/status")
        self.process = process
        self.start()

    def run(self):
        pause = 0.001
        while self.process.returncode is None:
            try:
                lines = self.status.read_text().splitlines()
            except OSError:
                return
            for line in lines:
                if line.startswith("RssAnon:"):
                    self.bytes = max(self.bytes, int(line.split()[1]) * 1024)
            time.sleep(pause)
            pause = min(0.01, pause * 1.5)


def run(*command, anonymous=False):
    """Runs a command that must succeed, after everything written before is on the disk."""
    os.sync()
    with tempfile.TemporaryFile("w+") as errors:
        start = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        peak = PeakMemory(process) if anonymous else None
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if peak:
            peak.join()
        if process.returncode != 0:
            errors.seek(0)
            raise Wrong(f"{' '.join(map(str, command))}: exit code {process.returncode}\n{errors.read()}")
    return Sample(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, peak.bytes if peak else 0)


def read_all(paths):
    """Gets files, and those in directories, into memory as far as it has room."""
    for top in paths:
        for path in [top, *sorted(top.rglob("*"))]:
            if path.is_file():
                with path.open("rb", buffering=0) as file:
                    while file.read(1 << 20):
                        pass


def machine():
    """The processor, cores, memory, kernel, and how busy it is, in a line."""
    cpus = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(": ")[2] for line in cpus if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (f"{models[0] if models else platform.machine()}, {CORES} cores, {memory:.0f} GiB of memory, "
            f"Linux {platform.release()}, load {os.getloadavg()[0]:.1f} before")


def versions():
    """The versions of jigpress and, where Debian's package manager knows them, of its peers, in a line."""
    ours = subprocess.run([JIGPRESS, "--version"], check=True, stdout=subprocess.PIPE, text=True)
    peers = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *PACKAGES], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True)
    return ", ".join([ours.stdout.strip(), *peers.stdout.splitlines()])


class Faster:
    """A target: at least so many times as fast as the peer."""

    def __init__(self, limit=None):
        self.limit = limit

    def judge(self, ours, theirs):
        """The ratio, the target, and whether it is met, in words."""
        ratio = theirs / ours
        return f"{ratio:.3g} times as fast", *verdict(self.limit, "at least", self.limit and ratio >= self.limit)


class Share:
    """A target: at most so many times what the peer has."""

    def __init__(self, limit=None):
        self.limit = limit

    def judge(self, ours, theirs):
        """The ratio, the target, and whether it is met, in words."""
        ratio = ours / theirs
        shown = f"{ratio:.4f}" if isinstance(ours, int) else f"{ratio:.3g}"
        return f"{shown} of it", *verdict(self.limit, "at most", self.limit and ratio <= self.limit)


def verdict(limit, bound, is_met):
    if limit is None:
        return "", ""
    return f"{bound} {limit:g}", "met" if is_met else "**missed**"


def quantity(value):
    """Seconds, which are floats, or bytes, which are integers."""
    return f"{value:,} B" if isinstance(value, int) else f"{value:.2f} s"


def table(heads, rows):
    """Prints a table in Markdown. Heads that begin with a blank are above what is set to the right."""
    widths = [max(len(cell) for cell in column) for column in zip([head.strip() for head in heads], *rows)]
    pads = [str.rjust if head.startswith(" ") else str.ljust for head in heads]
    rule = ["-" * (width - 1) + ":" if pad == str.rjust else "-" * width for width, pad in zip(widths, pads)]
    for cells in [[head.strip() for head in heads], rule, *rows]:
        print("| " + " | ".join(pad(cell, width) for pad, cell, width in zip(pads, cells, widths)) + " |")
    print(flush=True)
