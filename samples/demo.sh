#!/bin/sh
# The tour behind `make demo`: scan, check, curate and verify the sample corpus. Needs no network.
set -eu
cd "$(dirname "$0")/.."
FOXING=${FOXING:-foxing}
PYTHON=${PYTHON:-python3}

step() {
    printf '\n== %s\n' "$1"
}

run() {
    printf '\n$ foxing %s\n' "$*"
    "$FOXING" "$@"
}

rm -rf out/audit out/curated

step "1. Measure. Every row of samples/corpus is measured once; findings go to out/audit, the text stays where it is."
run scan samples/corpus -o out/audit

step "2. Judge. The findings are held against rules and budgets. The corpus holds chatbot text on purpose."
status=0
run check out/audit || status=$?
case $status in
    0) echo "Exit code 0: within budget." ;;
    1) echo "Exit code 1: over budget, as planted. In a pipeline this is what fails the build; here it is the expected result." ;;
    *) exit "$status" ;;
esac

step "3. Write training shards: most human-like rows first; rows that a rule flagged are set aside, not deleted."
echo "foxing refuses to take more than half of any one source. --allow-loss 1 lifts that for this made-up corpus."
run curate out/audit -o out/curated --curriculum human-first --drop FX101,FX102,FX202 --allow-loss 1

step "4. Prove it. Every input row is accounted for and every file is the one that was written."
run verify out/curated/manifest.json

step "What it found, held against the truth (the samples say who wrote each row; foxing did not look)"
"$PYTHON" samples/tally.py out/curated

cat <<'END'

Machine rows that were kept are ones the detector does not flag at its 1 % false-positive rate; human-first puts the
suspicious ones late all the same. People's rows that were dropped are repetitive ones. The corpus is small and its human
half is Python's own documentation: this is a tour, not a benchmark.

Where things are:
  samples/corpus/             the corpus (samples/README.md says what each file is)
  out/audit/                  findings: one Parquet part per signal and shard, a line per corpus row, no text
  out/curated/data/           the shards to train on, every column as it was
  out/curated/dropped/        the rows set aside, each with the rules that hit it
  out/curated/manifest.json   inputs, digests, signature, and the account of every row
END
