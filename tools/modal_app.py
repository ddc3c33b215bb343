"""The far side of `runner: modal`: one call is one job, in one container, on one GPU.

Deployed by a run or by `agent deploy`, never by a model. AFTERHOURS_AGENT names the agent binary that goes along. Its file is
written under the name of the app, which tells app and binary from all others.
"""

import os
import shutil
import subprocess
from pathlib import Path

import modal

AGENT = os.environ.get("AFTERHOURS_AGENT") or shutil.which("agent") or "agent"
THERE = "/usr/local/bin/agent"
PACKAGES = "/usr/local/lib/python3.12/site-packages"
# What the agent may take beyond its job's own time.
SLACK = 60
# What an agent may take to end its processes, in seconds.
GRACE = 10
MOST_SAID = 64 << 10

# PyGPUBench 0.0.3 needs glibc 2.38, and finds no landlock in a container of Modal's. torch 2.11.0 is built for CUDA 13.0, and so
# are NVRTC and CUDA's headers.
image = (
    modal.Image.from_registry("python:3.12-slim-trixie")
    .apt_install("gcc", "libc6-dev")
    .pip_install(
        "torch==2.11.0",
        "numpy==2.3.5",
        "pygpubench==0.0.3",
        "nvidia-cuda-nvrtc==13.0.88",
        "nvidia-cuda-runtime==13.0.96",
    )
    .env({"LD_LIBRARY_PATH": f"{PACKAGES}/nvidia/cu13/lib", "PYGPUBENCH_UNPROTECTED": "1"})
)
if modal.is_local():
    image = image.add_local_file(AGENT, THERE)

app = modal.App(Path(__file__).stem)


def last_words(child):
    """Waits a while for an agent whose input has ended, then kills it; who else holds its output is not waited for."""
    for _ in range(2):
        try:
            return child.communicate(timeout=GRACE)
        except subprocess.TimeoutExpired as error:
            child.kill()
            said = error.stdout or b"", error.stderr or b""
    return said


@app.cls(
    image=image,
    gpu="B200",
    # The kernel's processes run in there: none of them may use Modal in the account's name.
    restrict_modal_access=True,
    timeout=6 * 3600,
    scaledown_window=300,
    max_containers=1,
)
class Duel:
    """Both texts of a duel are of one job, and so meet on one GPU."""

    @modal.method()
    def run(self, orders: bytes, seconds: float) -> dict:
        """Runs `agent job` on a line of orders; its end of input is the limit's, or ours."""
        agent = AGENT if modal.is_local() else THERE
        child = subprocess.Popen(
            [agent, "job"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"AFTERHOURS_HOST": f"Modal {os.environ.get('MODAL_TASK_ID', 'without a container')}"},
        )
        # `communicate` would end the input at once, and that tells the agent to stop.
        held = os.dup(child.stdin.fileno())
        timed_out = False
        try:
            stdout, stderr = child.communicate(orders, timeout=seconds + SLACK)
        except subprocess.TimeoutExpired:
            timed_out = True
            # The end of its input lets it end its own processes: in a warm container they would disturb the next job.
            os.close(held)
            held = None
            stdout, stderr = last_words(child)
        finally:
            if held is not None:
                os.close(held)
        return {
            "stdout": stdout,
            "stderr": stderr[-MOST_SAID:],
            "exit_code": child.returncode,
            "timed_out": timed_out,
        }
