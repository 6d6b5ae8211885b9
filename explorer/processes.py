"""Who works on a job, a process here or SLURM, and whether it still does: process.json and slurm.json in its folder."""
import functools
import json
import os
import socket
import subprocess
import time
from pathlib import Path

import psutil

ASK_SLURM_EVERY = 2.0  # seconds
STARTING = 30.0  # seconds that a launcher may take to be there


def of_process(folder: Path, pid: int) -> None:
    """Write down that a process of this host has the job, and what tells it from a later one with the same number."""
    write(folder / "process.json", {"host": socket.gethostname(), "pid": pid,
                                    "started": _started(psutil.Process(pid))})


def of_slurm(folder: Path, number: str) -> None:
    """Write down that SLURM has the job, under its number there."""
    write(folder / "slurm.json", {"number": number})


def write(path: Path, content: dict) -> None:
    """A small file of JSON, at once or not at all."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)


def alive(folder: Path) -> bool:
    """Whether the job waits or runs, by SLURM's word or its process's.

    One on another host is taken at its own, until it is asked to stop: that host may be no more.
    """
    if number := slurm_number(folder):
        return _in_slurm(number, int(time.monotonic() // ASK_SLURM_EVERY))
    if not started(folder):  # its launcher is being started this moment, or whoever should have done so was killed
        asked = time.time() - (folder / "request.json").stat().st_mtime
        return asked < STARTING and not (folder / "cancel").exists()
    process = json.loads((folder / "process.json").read_text())
    if process["host"] != socket.gethostname():
        return not (folder / "cancel").exists()
    try:
        found = psutil.Process(process["pid"])
        return _started(found) == process["started"] and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _started(process: psutil.Process) -> float:
    """Seconds from the machine's start to the process's: its time of day changes when somebody sets the clock."""
    return round(process.create_time() - psutil.boot_time(), 2)


def started(folder: Path) -> bool:
    """Whether it is written down that a process ever had the job."""
    return (folder / "process.json").is_file()


def slurm_number(folder: Path) -> str | None:
    """The job's number there, if SLURM has it."""
    path = folder / "slurm.json"
    return json.loads(path.read_text())["number"] if path.is_file() else None


@functools.lru_cache(maxsize=256)
def _in_slurm(number: str, at: int) -> bool:
    """Whether SLURM has the job; asked once for each `at`, and where nobody can tell, it is taken for granted."""
    try:
        asked = subprocess.run(["squeue", "--noheader", "--jobs", number], capture_output=True, text=True)
    except FileNotFoundError:
        return True
    gone = not asked.stdout.strip() and (asked.returncode == 0 or "Invalid job id" in asked.stderr)
    return not gone  # what it says while it cannot be reached tells nothing
