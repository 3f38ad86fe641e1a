"""text-dedup's MinHash over a Parquet file: PATH THRESHOLD SCRATCH; run by its own interpreter."""

import contextlib
import json
import os
import pickle
import sys
from importlib.metadata import version
from pathlib import Path

PATH, THRESHOLD, SCRATCH = sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])
OUT = SCRATCH / "text-dedup"
SETTINGS = f"""
[input]
input_type = "local_files"
file_type = "parquet"
[input.read_arguments]
path = "parquet"
data_files = "{PATH}"
split = "train"
cache_dir = "{SCRATCH / "cache"}"
[algorithm]
algorithm_name = "minhash"
algo_name = "minhash"
text_column = "text"
num_perm = 128
ngram_size = 5
threshold = {THRESHOLD}
check_false_positive = true
num_proc = 1
[output]
output_dir = "{OUT}"
save_clusters = true
[debug]
enable_profiling = false
"""


def run():
    (SCRATCH / "config.toml").write_text(SETTINGS)
    os.chdir(SCRATCH)
    from text_dedup.config.base import Config
    from text_dedup.minhash import main

    config = Config()
    began = sum(os.times()[:4])
    main(config)
    return sum(os.times()[:4]) - began, (config.algorithm.bands, config.algorithm.rows)


if __name__ == "__main__":  # it starts processes that import this file
    with contextlib.redirect_stdout(sys.stderr):
        cost, scheme = run()
    clusters = pickle.loads((OUT / "clusters.pickle").read_bytes())
    told = {
        "version": version("text-dedup"),
        "bands": scheme[0],
        "rows of a band": scheme[1],
        "cpu_s": cost,
        "clusters": {int(row): int(cluster) for row, cluster in clusters.items()},
    }
    print(json.dumps(told))
