#!/usr/bin/env bash
# Proves the harnesses on the GPU of this machine: tests/gpu/run.sh [result|pygpubench|gpumode|gate]…
#
# Each proof measures a kernel through `agent tool`, and checks what its artifact says. It needs the driver, Python with
# torch, and for `pygpubench` that package. Exit code 0 stands for proofs that all hold, 1 for one that does not, 3 for a
# machine that lacks something.
set -euo pipefail
cd "$(dirname "$0")/../.."

gpu=${AFTERHOURS_GPU:-$(nvidia-smi --query-gpu=name --format=csv,noheader -i 0 2>/dev/null || true)}
if [[ -z $gpu ]]; then
    echo "no GPU: nvidia-smi names none" >&2
    exit 3
fi
cargo build --release --locked
agent=$PWD/target/release/agent
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT

# A repository of its own, so that nothing is written into this one.
git -C "$room" init -q
cp -r kernels tests/gpu/tasks "$room"
git -C "$room" add -A
git -C "$room" -c user.name=proof -c user.email=proof@localhost commit -qm kernels

need() {
    if ! python3 -c "import $1" 2>/dev/null; then
        echo "SKIPPED $proof: python3 has no $1" >&2
        missing=1
        return 1
    fi
}

# measure TOOL KERNEL HARNESS [OPTION…]: prints the artifact's path.
measure() {
    local tool=$1 kernel=$2 harness=$3
    shift 3
    (cd "$room" && "$agent" tool "$tool" --kernel "$kernel" --harness "$harness" --gpu "$gpu" --artifact-only "$@")
}

# holds ARTIFACT: the result came from this device, and its outcome is a measurement.
holds() {
    python3 - "${1%.txt}.json" "$gpu" <<'PYTHON'
import json, sys
outcome = json.load(open(sys.argv[1]))["afterhours"]["outcome"]
assert outcome["result"] == "measured", outcome
assert outcome["device"]["name"] == sys.argv[2], outcome["device"]
print("   ", outcome["device"]["name"], outcome["candidate"]["us"], "us")
PYTHON
}

# fails ARTIFACT FAILURE: the kernel is at fault, in this way.
fails() {
    python3 - "${1%.txt}.json" "$2" <<'PYTHON'
import json, sys
outcome = json.load(open(sys.argv[1]))["afterhours"]["outcome"]
assert (outcome["result"], outcome.get("failure")) == ("kernel_failed", sys.argv[2]), outcome
PYTHON
}

result() {
    need torch || return 0
    holds "$(measure test-run tasks/scale/submission.py tasks/scale/harness.py)"
    sed 's/2 \* x/x/' "$room/tasks/scale/submission.py" > "$room/tasks/scale/wrong.py"
    fails "$(measure test-run tasks/scale/wrong.py tasks/scale/harness.py || true)" wrong_answer
}

pygpubench() {
    need pygpubench || return 0
    holds "$(measure test-run kernels/grayscale/submission.py kernels/grayscale/harness.py)"
    holds "$(measure benchmark-run kernels/grayscale/submission.py kernels/grayscale/harness.py)"
}

gpumode() {
    need torch || return 0
    holds "$(measure test-run tasks/scale/submission.py tasks/scale/task.yml)"
    holds "$(measure benchmark-run tasks/scale/submission.py tasks/scale/task.yml)"
    holds "$(measure benchmark-run tasks/scale/submission.py tasks/scale/task.yml --profile final)"
}

gate() {
    printf 'def kernel(x:\n' > "$room/tasks/scale/broken.py"
    fails "$(measure test-run tasks/scale/broken.py tasks/scale/harness.py || true)" compile
    cargo test --release --locked --test gate
}

missing=0
proofs=("$@")
if ((${#proofs[@]} == 0)); then proofs=(result pygpubench gpumode gate); fi
for proof in "${proofs[@]}"; do
    echo "== $proof on $gpu"
    "$proof"
done
if ((missing)); then exit 3; fi
echo "every proof holds"
