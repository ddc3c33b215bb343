"""The far side of `runner: modal`: one call is one job, in one container, on one GPU.

Deployed by `agent deploy`, never by a model. AFTERHOURS_AGENT names the agent binary to deploy; else it is the one on PATH.
"""

import os
import shutil
import subprocess

import modal

AGENT = os.environ.get("AFTERHOURS_AGENT") or shutil.which("agent") or "agent"
THERE = "/usr/local/bin/agent"
CACHE = "/cache"
# What the agent may take beyond its job's own time.
SLACK = 60
# What an agent may take to end its processes, in seconds.
GRACE = 10
MOST_SAID = 64 << 10

image = (
    modal.Image.debian_slim(python_version="3.12")
    .apt_install("gcc", "libc6-dev")
    .pip_install("torch==2.9.1", "nvidia-cuda-nvrtc-cu12==12.8.93")
    .env({"TRITON_CACHE_DIR": f"{CACHE}/triton"})
)
if modal.is_local():
    image = image.add_local_file(AGENT, THERE)

app = modal.App("afterhours")


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
    volumes={CACHE: modal.Volume.from_name("afterhours-cache", create_if_missing=True)},
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
            [agent, "job"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
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
