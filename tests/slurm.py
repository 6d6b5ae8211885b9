"""A stand-in for SLURM: programs of its names that run a batch script on this machine, in a session of its own."""
import sys
from pathlib import Path

import psutil

SBATCH = """
import os, subprocess, sys, time
cluster = os.environ["CLUSTER"]
if os.path.exists(cluster + "/refuses"):
    sys.exit("sbatch: error: invalid partition specified: explorer")
number = str(1000 + len(os.listdir(cluster)))
os.mkdir(f"{cluster}/{number}")
node = {"JOB_ID": number, "NTASKS": "1", "JOB_NUM_NODES": "1", "NODEID": "0", "PROCID": "0", "LOCALID": "0"}
waiting = 'while [ -e "$CLUSTER/busy" ]; do sleep 0.1; done; exec bash "$0"'
process = subprocess.Popen(["bash", "-c", waiting, sys.argv[1]], start_new_session=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           env=os.environ | {f"SLURM_{name}": value for name, value in node.items()})
with open(f"{cluster}/{number}/pid", "w") as file:
    file.write(str(process.pid))
print("Submitted batch job", number)
"""
SRUN = """
import os, subprocess, sys
_, _, _, out, _, err, *command = sys.argv  # srun --unbuffered --output OUT --error ERR COMMAND
out, err = (open(name.replace("%j", os.environ["SLURM_JOB_ID"]).replace("%t", "0"), "a") for name in (out, err))
sys.exit(subprocess.run(command, stdout=out, stderr=err).returncode)
"""
SQUEUE = """
import os, sys
from tests.slurm import session
if session(os.environ["CLUSTER"], sys.argv[3]):  # squeue --noheader --jobs NUMBER
    print(sys.argv[3], "explorer")
else:
    sys.exit("slurm_load_jobs error: Invalid job id specified")
"""
SCANCEL = """
import os, sys
from tests.slurm import session
for process in session(os.environ["CLUSTER"], sys.argv[1]):
    process.kill()
"""
PROGRAMS = {"sbatch": SBATCH, "srun": SRUN, "squeue": SQUEUE, "scancel": SCANCEL}


def install(folder: Path) -> None:
    """Write the programs; who finds them on PATH has a cluster, whose jobs are in the folder $CLUSTER."""
    root = Path(__file__).resolve().parents[1]
    for name, text in PROGRAMS.items():
        path = folder / name
        path.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(root)!r})\n{text}")
        path.chmod(0o755)


def session(cluster: str | Path, number: str) -> list[psutil.Process]:
    """The processes of a job that still run."""
    leader = int((Path(cluster) / number / "pid").read_text())
    try:
        found = psutil.Process(leader)
        return [process for process in [found, *found.children(recursive=True)] if _runs(process)]
    except psutil.NoSuchProcess:  # it ended this moment
        return []


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
