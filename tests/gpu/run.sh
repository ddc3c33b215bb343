#!/usr/bin/env bash
# Proves the harnesses on the GPU of this machine: tests/gpu/run.sh [native|roofline|mission|result|pygpubench|gpumode|gpumode_cuda|gate]…
#
# Each proof measures a kernel through `agent tool`, and checks what its artifact says. It needs the driver, NVRTC, a C
# compiler, git and Python; for some proofs with torch, triton and pygpubench, for `gpumode_cuda` nvcc, for `gate` cargo. All of
# them together should take less than eight minutes once the program is built, and nothing is waited for without end. ncu only
# adds its figures, where it is there.
#
# AGENT names a program that is built already, AFTERHOURS_GPU the device where nvidia-smi cannot. Exit code 0 stands for proofs
# that all hold, 1 for one that does not, 2 for one that there is not, 3 for a machine that lacks something. A proof that fails
# does not keep the others from being made, and its measurements are left behind.
set -euo pipefail
cd "$(dirname "$0")/../.."

all=(native roofline mission result pygpubench gpumode gpumode_cuda gate)
proofs=("$@")
if ((${#proofs[@]} == 0)); then proofs=("${all[@]}"); fi
for proof in "${proofs[@]}"; do
    if [[ " ${all[*]} " != *" $proof "* ]]; then
        echo "there is no proof $proof; there are: ${all[*]}" >&2
        exit 2
    fi
done

# within SECONDS COMMAND…: ends a command that takes longer, and all that it started, with exit code 124.
within() {
    timeout --kill-after=30 "$@" &
    local child=$! code=0
    # It has a group of its own, which the terminal does not interrupt.
    trap 'kill "$child"; trap - INT; kill -INT "$BASHPID"' INT
    wait "$child" || code=$?
    trap - INT
    return "$code"
}

gpu=${AFTERHOURS_GPU:-}
if [[ -z $gpu ]]; then
    # A driver that does not answer says so on standard output.
    first=${CUDA_VISIBLE_DEVICES:-0}
    gpu=$(within 60 nvidia-smi --query-gpu=name --format=csv,noheader -i "${first%%,*}" 2>/dev/null) || gpu=
fi
if [[ -z $gpu ]]; then
    echo "no GPU: nvidia-smi names none" >&2
    exit 3
fi
for program in git python3 cc ${AGENT:-cargo}; do
    if ! command -v "$program" >/dev/null; then
        echo "no $program in PATH" >&2
        exit 3
    fi
done
if [[ -z ${AGENT:-} ]]; then
    cargo build --release --locked || exit 1
    AGENT=${CARGO_TARGET_DIR:-target}/release/agent
fi
agent=$(realpath "$(command -v "$AGENT")")
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT

# A repository of its own, so that nothing is written into this one.
cp -r kernels tests/gpu/tasks "$room"
git -C "$room" init -q
git -C "$room" add -A
git -C "$room" -c user.name=proof -c user.email=proof@localhost -c commit.gpgsign=false -c core.hooksPath=/dev/null commit -qm kernels

# skip REASON: this proof, or the rest of it, cannot be made here.
skip() {
    echo "SKIPPED $proof: $1" >&2
    missing=1
}

# need PACKAGE: Python has it, and torch sees the device.
need() {
    local check="import $1"
    if [[ $1 == torch ]]; then check+="; assert torch.cuda.is_available(), 'torch sees no device'"; fi
    local said
    said=$(within 120 python3 -c "$check" 2>&1) && return
    skip "python3 has no $1 that works here: ${said##*$'\n'}"
    return 1
}

# measure TOOL KERNEL HARNESS [OPTION…]: leaves the path of its artifact in `artifact`.
measure() {
    local tool=$1 kernel=$2 harness=$3 code=0
    shift 3
    artifact=$(cd "$room" && within 900 "$agent" tool "$tool" --kernel "$kernel" --harness "$harness" --gpu "$gpu" \
        --artifact-only "$@") || code=$?
    # An artifact says itself what went wrong.
    if [[ -z $artifact ]]; then
        echo "$tool of $kernel left no artifact, and ended with exit code $code" >&2
        return $((code ? code : 1))
    fi
}

# holds TOOL KERNEL HARNESS [OPTION…]: the result comes from this device, and its outcome is a measurement.
holds() {
    measure "$@"
    python3 - "${artifact%.txt}.json" "$gpu" <<'PYTHON'
import json, sys
outcome = json.load(open(sys.argv[1]))["afterhours"]["outcome"]
if outcome["result"] != "measured":
    sys.exit(f"no measurement: {outcome}")
name = outcome["device"]["name"]
if sys.argv[2].lower() not in name.lower():
    sys.exit(f"measured on {name}, not on {sys.argv[2]}")
print("   ", name, outcome["candidate"]["us"], "us")
PYTHON
}

# fails FAILURE TOOL KERNEL HARNESS [OPTION…]: the kernel is at fault, in this way.
fails() {
    local failure=$1
    shift
    measure "$@"
    python3 - "${artifact%.txt}.json" "$failure" <<'PYTHON'
import json, sys
outcome = json.load(open(sys.argv[1]))["afterhours"]["outcome"]
if (outcome["result"], outcome.get("failure")) != ("kernel_failed", sys.argv[2]):
    sys.exit(f"no failure of the kind {sys.argv[2]}: {outcome}")
PYTHON
}

# us: the candidate's time, in microseconds.
us() {
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["afterhours"]["outcome"]["candidate"]["us"])' "${artifact%.txt}.json"
}

# described: every block of the artifact says what its device was like.
described() {
    python3 - "${artifact%.txt}.json" <<'PYTHON'
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
    local failure=$1 script=$2 kernel=$room/kernels/grayscale
    shift 2
    sed "$script" "$kernel/kernel.cu" >"$kernel/broken.cu"
    if cmp -s "$kernel/kernel.cu" "$kernel/broken.cu"; then
        echo "$script changes nothing" >&2
        return 1
    fi
    echo "    $failure by $script"
    fails "$failure" test-run kernels/grayscale/broken.cu kernels/grayscale/harness.toml "$@"
}

native() {
    holds test-run kernels/grayscale/kernel.cu kernels/grayscale/harness.toml
    described
    holds benchmark-run kernels/grayscale/kernel.cu kernels/grayscale/harness.toml --incumbent kernels/grayscale/kernel.cu
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
    local time code=0
    holds test-run "tasks/$1/kernel.cu" "tasks/$1/harness.toml" --stage-repeats 10
    described
    time=$(us)
    within 300 python3 tests/gpu/beside.py "$1" "$2" "$time" || code=$?
    case $code in
        0) ;;
        3) missing=1 ;;
        *) return 1 ;;
    esac
    if command -v ncu >/dev/null; then
        within 300 ncu --metrics gpu__time_duration.sum --kernel-name "regex:stream|fma_chain" \
            python3 tests/gpu/beside.py "$1" "$2" "$time" once | grep gpu__time_duration ||
            echo "    no figure of ncu's: it may not read the card's counters here"
    else
        echo "    no figure of ncu's: it is not in PATH"
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
    sed -n '/^profiles:/,/^  final:/p' kernels/grayscale/mission.md >"$room/profiles"
    sed -i -e "s|^gpu: .*|gpu: $gpu|" -e "/^budget:/r $room/profiles" "$room/kernels/grayscale/mission-cuda.md"
    (cd "$room" && within 1200 "$agent" run --mission kernels/grayscale/mission-cuda.md --max-iterations 2 --quiet) || code=$?
    # 0: the target is reached; 10: the iterations are spent.
    if [[ $code != 0 && $code != 10 ]]; then
        echo "the run ended with exit code $code" >&2
        return "$code"
    fi
    (cd "$room" && "$agent" status --json) | python3 -c '
import json, sys
status = json.load(sys.stdin)
right = sys.argv[1].lower() in (status["device"] or "").lower()
if not (right and status["iteration"] >= 1 and status["infra_failures"] == 0):
    sys.exit(f"not as it should be: {status}")
print("   ", status["baseline_us"], "us at first,", status["best_us"], "us at best")' "$gpu"
}

result() {
    need torch || return 0
    holds test-run tasks/scale/submission.py tasks/scale/harness.py
    sed 's/2 \* x/x/' "$room/tasks/scale/submission.py" >"$room/tasks/scale/wrong.py"
    fails wrong_answer test-run tasks/scale/wrong.py tasks/scale/harness.py
}

pygpubench() {
    need torch || return 0
    need pygpubench || return 0
    holds test-run kernels/grayscale/submission.py kernels/grayscale/harness.py
    holds benchmark-run kernels/grayscale/submission.py kernels/grayscale/harness.py
}

gpumode() {
    need torch || return 0
    holds test-run tasks/scale/submission.py tasks/scale/task.yml
    holds benchmark-run tasks/scale/submission.py tasks/scale/task.yml
    holds benchmark-run tasks/scale/submission.py tasks/scale/task.yml --profile final
}

gpumode_cuda() {
    if ! command -v nvcc >/dev/null; then
        skip "there is no nvcc in PATH"
        return 0
    fi
    cp tests/fixtures/gpumode/cuda/{task.yml,task.cuh,eval.cu} "$room/tasks/cuda"
    holds test-run tasks/cuda/submission.cu tasks/cuda/task.yml
    holds benchmark-run tasks/cuda/submission.cu tasks/cuda/task.yml
    holds benchmark-run tasks/cuda/submission.cu tasks/cuda/task.yml --profile final
    sed 's/numbers\[at\] \*=/nombres[at] *=/' tests/gpu/tasks/cuda/submission.cu >"$room/tasks/cuda/broken.cu"
    fails compile test-run tasks/cuda/broken.cu tasks/cuda/task.yml
}

gate() {
    printf 'def kernel(x:\n' >"$room/tasks/scale/broken.py"
    fails compile test-run tasks/scale/broken.py tasks/scale/harness.py
    if ! command -v cargo >/dev/null; then
        skip "there is no cargo in PATH for the tests of the gate"
        return 0
    fi
    # Building the tests takes its time.
    within 1800 cargo test --release --locked --test gate -- --nocapture 2>&1 | tee "$room/gate.log"
    if grep -q SKIPPED "$room/gate.log"; then skip "the tests of the gate lack something"; fi
}

failed=() skipped=()
for proof in "${proofs[@]}"; do
    echo "== $proof on $gpu"
    begun=$SECONDS
    # Not in a condition: there the first failure would not end a proof.
    set +e
    (
        set -e
        missing=0
        "$proof"
        exit $((missing ? 3 : 0))
    )
    code=$?
    set -e
    case $code in
        0) echo "    holds, after $((SECONDS - begun)) s" ;;
        3) skipped+=("$proof") ;;
        *)
            failed+=("$proof")
            echo "FAILED $proof, with exit code $code, after $((SECONDS - begun)) s" >&2
            ;;
    esac
done
if ((${#skipped[@]})); then echo "not or not wholly made, as this machine lacks something: ${skipped[*]}" >&2; fi
if ((${#failed[@]})); then
    trap - EXIT
    echo "FAILED: ${failed[*]}; what they measured lies in $room" >&2
    exit 1
fi
if ((${#skipped[@]})); then exit 3; fi
echo "every proof holds"
