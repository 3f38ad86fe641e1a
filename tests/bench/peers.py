"""`make bench-peers`: foxing and what people use today, on the same documents in the same run. See docs/bench.md."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import corpora, report
from tests.bench.clock import floors, pin
from tests.bench.likework import like_work
from tests.bench.machine import machine

VENVS = Path(os.environ.get("FOXING_PEERS", corpora.REPOSITORY / ".scratch" / "peers"))
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    # The libraries of is-it-slop want more of it than glibc sets aside.
    "GLIBC_TUNABLES": "glibc.rtld.optional_static_tls=200000",
}


@dataclass(frozen=True)
class Peer:
    """A tool that is installed apart from everything else.

    Attributes:
        venv: folder of its interpreter below `VENVS`; tools may share one.
        requires: what pip installs there.
        script: beside this file; it is run by that interpreter with PATH and the number of documents.
        documents: how many, since some tools take seconds a document.
        modes: words that the script takes, one run each.
    """

    venv: str
    requires: tuple[str, ...]
    script: str
    documents: int
    modes: tuple[str, ...]


_LIGHT = ("datasketch", "rensa", "lexicalrichness", "pyarrow", "numpy", "setuptools<80")
PEERS = (
    Peer("light", _LIGHT, "peer_light.py", 1500, ("datasketch", "rensa")),
    Peer("light", _LIGHT, "peer_light.py", 300, ("lexicalrichness",)),
    Peer("datatrove", ("datatrove[io,processing]", "spacy"), "peer_datatrove.py", 400, ("chain",)),
    Peer("slop", ("is-it-slop", "pyarrow"), "peer_slop.py", 400, ("predict",)),
)
COMPARISONS = (
    # (work, stages of the peer that are added up, foxing's like work)
    ("datatrove: Gopher repetition + quality + MinHash", ("repetition", "quality", "minhash"), "chain"),
    ("datasketch: MinHash 128, word 5-grams, from text", ("datasketch_text",), "minhash_text"),
    ("datasketch: the same, from ready shingles or words", ("datasketch_shingles",), "minhash_words"),
    ("rensa: RMinHash 128, word 5-grams, from text", ("rensa_text",), "minhash_text"),
    ("rensa: the same, from ready shingles or words", ("rensa_shingles",), "minhash_words"),
    (
        "lexicalrichness: MTLD + MATTR + HD-D + Yule, from text",
        ("construct", "mtld", "mattr", "hdd", "yule"),
        "lexical_text",
    ),
    ("lexicalrichness: the same, from ready tokens or words", ("mtld", "mattr", "hdd", "yule"), "lexical_words"),
    ("is-it-slop: machine-text score", ("predict",), "ai_text"),
)


def main() -> int:
    """Install what is missing, run every peer and foxing, print and store the ratios."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__)
    parser.add_argument("--core", type=int, help="the core to stay on (the last one allowed)")
    parser.add_argument("--out", default=str(report.RESULTS), help="folder of results")
    parser.add_argument("--dry", action="store_true", help="store nothing")
    parser.add_argument("--install-only", action="store_true", help="make the environments and stop")
    asked = parser.parse_args()
    source = corpora.web()
    if source is None:
        print(f"SKIPPED: there is no {corpora.data_folder() / 'bench'}. Set FOXING_DATA.", file=sys.stderr)
        return 0
    for peer in PEERS:
        install(peer)
    if asked.install_only:
        return 0
    pin({asked.core if asked.core is not None else max(os.sched_getaffinity(0))})
    result = bench(source)
    print("\n".join([report.table(report.peer_rows(report.rounded(result))), *result["failed"]]))
    if not asked.dry:
        print(f"\nstored in {report.save(result, 'peers', Path(asked.out))}")
    return 0


def bench(source: Path) -> dict[str, Any]:
    """Every peer and foxing's like work, as docs/bench.md describes it."""
    with tempfile.TemporaryDirectory(prefix="foxing-peers-") as folder:
        most = corpora.head(source, max(peer.documents for peer in PEERS), Path(folder) / "slice.parquet")
        floor = floors(most)
        lines, failed, versions = [], [], {}
        for peer in PEERS:
            for mode in peer.modes:
                print(f"{mode} ...", file=sys.stderr, flush=True)
                try:
                    found = _run(peer, mode, most)
                except (OSError, RuntimeError, ValueError) as error:
                    failed.append(f"{mode}: {error}")
                    continue
                lines += found
                versions.update({line["tool"]: line["version"] for line in found})
        print("foxing ...", file=sys.stderr, flush=True)
        ours, refused = like_work(most)
    peers = {line["stage"]: line for line in lines}
    return {
        "schema": report.PEERS_SCHEMA,
        "version": report.VERSION,
        **machine(),
        "versions": versions,
        "floors_ns_per_byte": floor,
        "peers": lines,
        "foxing_ns_per_byte": ours,
        "comparisons": compare(peers, ours),
        "failed": failed + refused,
    }


def compare(peers: dict[str, Any], ours: dict[str, float]) -> list[dict[str, Any]]:
    """Peer and foxing side by side; what could not be measured says so instead of a ratio."""
    rows: list[dict[str, Any]] = []
    for work, stages, like in COMPARISONS:
        missing = [stage for stage in stages if stage not in peers] + ([] if like in ours else [f"foxing {like}"])
        if missing:
            rows.append({"work": work, "missing": f"not measured: {', '.join(missing)}"})
            continue
        cost = sum(peers[stage]["cpu_s"] / peers[stage]["bytes"] * 1e9 for stage in stages)
        rows.append(
            {
                "work": work,
                "peer_mb_s": 1e3 / cost,
                "foxing_mb_s": 1e3 / ours[like],
                "ratio": cost / ours[like],
            }
        )
    return rows


def _run(peer: Peer, mode: str, path: Path) -> list[dict[str, Any]]:
    script = Path(__file__).with_name(peer.script)
    environment = {**os.environ, **ENVIRONMENT}
    shim = VENVS / "isoc23.so"
    if peer.venv == "slop" and shim.exists():
        environment["LD_PRELOAD"] = str(shim)
    done = subprocess.run(
        [str(VENVS / peer.venv / "bin" / "python"), str(script), str(path), str(peer.documents), mode],
        capture_output=True,
        text=True,
        env=environment,
        timeout=900,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1][:300] if done.stderr.strip() else "no word")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def install(peer: Peer) -> None:
    """Make the peer's environment, once."""
    folder = VENVS / peer.venv
    done = folder / ".installed"
    if done.exists():
        return
    print(f"installing {', '.join(peer.requires)} into {folder} ...", file=sys.stderr, flush=True)
    VENVS.mkdir(parents=True, exist_ok=True)
    _call([sys.executable, "-m", "venv", str(folder)])
    _call([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", *peer.requires])
    if peer.venv == "slop":
        _add_shim()
    done.touch()


def _add_shim() -> None:
    """is-it-slop is built against glibc 2.38; an older one lacks three functions that it has by other names."""
    source = VENVS / "isoc23.c"
    kinds = (("long", "strtol"), ("long long", "strtoll"), ("unsigned long long", "strtoull"))
    source.write_text(
        "#include <stdlib.h>\n"
        + "".join(
            f"{kind} __isoc23_{name}(const char *s, char **e, int b) {{ return {name}(s, e, b); }}\n"
            for kind, name in kinds
        )
    )
    _call(["cc", "-shared", "-fPIC", "-O1", "-o", str(VENVS / "isoc23.so"), str(source)])


def _call(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{' '.join(command[:4])} ...: {done.stderr.strip()[-300:]}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
