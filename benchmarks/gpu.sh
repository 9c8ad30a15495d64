#!/usr/bin/env bash
# What only a GPU can show, in 8 minutes at most: `OUT=folder benchmarks/gpu.sh [cuda]`.
#   contract.txt  the contract of every method, run there
#   devices.txt   a table on digits, there and on the CPU
#   results.jsonl, RESULTS.md  a line of every row, there
# Wheels that the machine lacks may lie in .whl/; where ddbench imports, nothing is installed.
# `benchmarks/gpu.sh cpu quick` is a rehearsal without a GPU.
set -u
cd "$(dirname "$0")/.."
device=${1:-cuda}
quick=${2:-}
out=$(realpath -m "${OUT:-/tmp/ddbench-gpu}")
mkdir -p "$out"
exec > >(tee "$out/log.txt") 2>&1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export PYTHONPATH=$PWD:$PWD/plugins:$scratch/metadata DDBENCH_BENCHMARKS=$scratch/work DDBENCH_HOME=$scratch/home
export OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1 PYTHONWARNINGS=ignore
python=$(command -v python || command -v python3)

"$python" -c 'import ddbench.core.plugin.loader' || "$python" -m pip install -q --no-index --find-links .whl .whl/*.whl
# A checkout that is not installed has no entry points: they are read from pyproject.toml.
"$python" - "$scratch/metadata" <<'PYTHON'
import pathlib, sys, tomllib
from importlib.metadata import entry_points
if not entry_points(group="ddbench"):
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
    folder = pathlib.Path(sys.argv[1], f"{project['name']}-{project['version']}.dist-info")
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = "\n".join(f"{name} = {value}" for name, value in project["entry-points"]["ddbench"].items())
    (folder / "entry_points.txt").write_text(f"[ddbench]\n{points}\n")
PYTHON
"$python" -c 'import torch; print("torch", torch.__version__, torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU")'
methods=$("$python" -c 'from ddbench.core.plugin.loader import installed; print(*sorted(info.name for info in installed().methods))')
[ -n "$methods" ] || { echo "no methods: ddbench does not run here"; exit 1; }
[ -z "$quick" ] || methods="random dm"
failed=0

echo "== contract of: $methods"
check='"$1" -m ddbench plugin check "$2" --device "$3" > "$4/$2" 2>&1'
# shellcheck disable=SC2086
printf '%s\n' $methods | timeout 130 xargs -P 6 -I NAME bash -c "mkdir -p '$scratch/contract'; $check" _ "$python" NAME "$device" "$scratch/contract" || failed=1
for name in $methods; do cat "$scratch/contract/$name"; done > "$out/contract.txt" 2>&1
grep -E '^✗|checks (passed|failed)' "$out/contract.txt"

echo "== digits by $device and by the CPU"
profile=short
[ -z "$quick" ] || profile=smoke
timeout 100 "$python" -m benchmarks.devices --device "$device" --profile "$profile" --folder "$scratch/devices" \
    > "$out/devices.txt" 2> "$scratch/devices.log" || { failed=1; tail -3 "$scratch/devices.log"; }
cat "$out/devices.txt"

echo "== rows"
only=training,experts,evaluation,dm,dsa,dc,idc,mtt,datm,tesla,memory,selection
[ -z "$quick" ] || only="dm ipc 1"
timeout 230 "$python" -m benchmarks --device "$device" --only "$only" --repeats 3 --folder "$out" || failed=1
"$python" -m benchmarks --render --folder "$out"  # of what there was time for
(cd "$out" && cat RESULTS.md)
exit $failed
