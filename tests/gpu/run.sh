#!/usr/bin/env bash
# Proves the harnesses on the GPU of this machine: tests/gpu/run.sh [native|roofline|mission|result|pygpubench|gpumode|gpumode_cuda|gate]…
#
# Each proof measures a kernel through `agent tool`, and checks what its artifact says. It needs the driver, NVRTC, a C
# compiler and Python; for some proofs with torch, triton and pygpubench, for `gpumode_cuda` nvcc. All of them together take less than eight minutes
# once the program is built. Exit code 0 stands for proofs that all hold, 1 for one that does not, 3 for a machine that lacks
# something.
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

# us ARTIFACT: the candidate's time, in microseconds.
us() {
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["afterhours"]["outcome"]["candidate"]["us"])' "${1%.txt}.json"
}

# described ARTIFACT: every block says what its device was like.
described() {
    python3 - "${1%.txt}.json" <<'PYTHON'
import json, sys
ours = json.load(open(sys.argv[1]))["afterhours"]
assert ours["outcome"]["device"]["compute_capability"], ours["outcome"]["device"]
for block in ours["blocks"]:
    found = block["conditions"]
    assert found["cuda"] and found["cache_bytes"] > 0 and found["overhead_us"] > 0, found
    for launch in found["launches"]:
        assert launch["registers"] > 0 and 0 < launch["occupancy"] <= 1 and launch["spilled_bytes"] is not None, launch
print("   ", json.dumps(ours["blocks"][-1]["conditions"]))
PYTHON
}

# broken FAILURE SCRIPT [OPTION…]: the shipped kernel, changed by a script of sed's, fails in this way.
broken() {
    local failure=$1 script=$2
    shift 2
    sed "$script" "$room/kernels/grayscale/kernel.cu" > "$room/kernels/grayscale/broken.cu"
    if cmp -s "$room/kernels/grayscale/kernel.cu" "$room/kernels/grayscale/broken.cu"; then
        echo "$script changes nothing" >&2
        return 1
    fi
    fails "$(measure test-run kernels/grayscale/broken.cu kernels/grayscale/harness.toml "$@" || true)" "$failure"
}

native() {
    local artifact
    artifact=$(measure test-run kernels/grayscale/kernel.cu kernels/grayscale/harness.toml)
    holds "$artifact"
    described "$artifact"
    holds "$(measure benchmark-run kernels/grayscale/kernel.cu kernels/grayscale/harness.toml \
        --incumbent kernels/grayscale/kernel.cu)"
    broken wrong_answer 's/rgb\[3 \* i + 1\]/rgb[3 * i]/'
    broken wrong_answer 's/gray\[i\] =/if (i != 7) gray[i] =/'
    broken wrong_answer 's/if (i < width \* height)/if (i <= width * height)/'
    broken crash 's/gray\[i\] =/gray[i + (1ll << 40)] =/'
    broken crash 's/gray\[i\] =/__trap(); gray[i] =/'
    broken compile 's/^\/\/ launch:/\/\/ lunch:/'
    broken compile 's/grayscale(const/greyscale(const/'
    broken compile 's/__global__ void/__global__ void __launch_bounds__(128)/'
    broken timeout 's/gray\[i\] =/while (*(volatile const unsigned char *)rgb <= 255) {} gray[i] =/' --timeout-seconds 20
}

# figure TASK N: how near a kernel comes to what the card can do, and what others say of its time.
figure() {
    local artifact time
    artifact=$(measure test-run "tasks/$1/kernel.cu" "tasks/$1/harness.toml" --stage-repeats 10)
    holds "$artifact"
    described "$artifact"
    time=$(us "$artifact")
    python3 tests/gpu/beside.py "$1" "$2" "$time" || { [[ $? == 3 ]] && missing=1; }
    if command -v ncu > /dev/null; then
        ncu --metrics gpu__time_duration.sum --kernel-name "regex:stream|fma_chain" python3 tests/gpu/beside.py "$1" "$2" "$time" once |
            grep gpu__time_duration || echo "SKIPPED ncu: it may not read the card's counters here" >&2
    else
        echo "SKIPPED ncu: it is not in PATH" >&2
    fi
}

roofline() {
    need torch || return 0
    need triton || return 0
    figure stream 33554432
    figure fma 1048576
}

mission() {
    local code=0
    # The profiles of the mission on the processor: they are short.
    sed -n '/^profiles:/,/^  final:/p' kernels/grayscale/mission.md > "$room/profiles"
    sed -i -e "s/^gpu: .*/gpu: $gpu/" -e "/^budget:/r $room/profiles" "$room/kernels/grayscale/mission-cuda.md"
    (cd "$room" && "$agent" run --mission kernels/grayscale/mission-cuda.md --max-iterations 2 --quiet) || code=$?
    # 0: the target is reached; 10: the iterations are spent.
    [[ $code == 0 || $code == 10 ]]
    (cd "$room" && "$agent" status --json) | python3 -c '
import json, sys
status = json.load(sys.stdin)
assert status["device"] == sys.argv[1] and status["iteration"] >= 1 and status["infra_failures"] == 0, status
print("   ", status["baseline_us"], "us at first,", status["best_us"], "us at best")' "$gpu"
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

gpumode_cuda() {
    if ! command -v nvcc >/dev/null; then
        echo "SKIPPED $proof: there is no nvcc in PATH" >&2
        missing=1
        return 0
    fi
    cp tests/fixtures/gpumode/cuda/{task.yml,task.cuh,eval.cu} "$room/tasks/cuda"
    holds "$(measure test-run tasks/cuda/submission.cu tasks/cuda/task.yml)"
    holds "$(measure benchmark-run tasks/cuda/submission.cu tasks/cuda/task.yml)"
    holds "$(measure benchmark-run tasks/cuda/submission.cu tasks/cuda/task.yml --profile final)"
    sed 's/numbers\[at\] \*=/nombres[at] *=/' tests/gpu/tasks/cuda/submission.cu > "$room/tasks/cuda/broken.cu"
    fails "$(measure test-run tasks/cuda/broken.cu tasks/cuda/task.yml || true)" compile
}

gate() {
    printf 'def kernel(x:\n' > "$room/tasks/scale/broken.py"
    fails "$(measure test-run tasks/scale/broken.py tasks/scale/harness.py || true)" compile
    cargo test --release --locked --test gate
}

missing=0
proofs=("$@")
if ((${#proofs[@]} == 0)); then proofs=(native roofline mission result pygpubench gpumode gpumode_cuda gate); fi
for proof in "${proofs[@]}"; do
    echo "== $proof on $gpu"
    begun=$SECONDS
    "$proof"
    echo "    $((SECONDS - begun)) s"
done
if ((missing)); then exit 3; fi
echo "every proof holds"
