#!/bin/sh
# Scans a corpus as an array of Slurm jobs, and then puts the parts together.
#
#     sh slurm_scan.sh CORPUS DIR PARTS [options of foxing scan]
#
# CORPUS and DIR lie where every node of the cluster sees them, and so does this script. A job that is killed or
# preempted goes on where it was when Slurm runs it again; one that failed can be submitted again alone:
#
#     sbatch --array=7 slurm_scan.sh CORPUS DIR PARTS
set -eu
corpus=$1 out=$2 parts=$3
shift 3

# Kernels are compiled once on each node, in about half a minute.
export NUMBA_CACHE_DIR="${NUMBA_CACHE_DIR-${TMPDIR:-/tmp}/foxing-kernels-$(id -u)}"

if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
  exec foxing scan "$corpus" -o "$out" --part "$SLURM_ARRAY_TASK_ID/$parts" --workers "${SLURM_CPUS_PER_TASK:-0}" "$@"
elif [ -n "${SLURM_JOB_ID:-}" ]; then
  exec foxing scan "$corpus" -o "$out" --workers "${SLURM_CPUS_PER_TASK:-0}" "$@"
fi

job=$(sbatch --parsable --requeue --job-name=foxing --array="1-$parts" --cpus-per-task=8 --mem=8G --time=24:00:00 \
  "$0" "$corpus" "$out" "$parts" "$@")
sbatch --parsable --requeue --job-name=foxing-whole --dependency="afterok:$job" --cpus-per-task=8 --mem=16G \
  --time=24:00:00 "$0" "$corpus" "$out" "$parts" "$@"
