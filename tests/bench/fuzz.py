"""Hot-path kernels against plain Python on random documents: `python -m tests.bench.fuzz --documents 100000`.

Random bytes, random Unicode of every plane, random prose with broken UTF-8, nulls, batches sliced out of larger ones.
Words (spans, hashes, sentences), lexical indices, n-gram and line repetition, characters, MinHash and the hash of the
text are compared with the reference in tests/detectors/reference.py, with datasketch and with xxhash's definition.
Prints one JSON object; exit code 1 at the first difference, with the document.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from detectors.characters import Characters
from detectors.diversity import Diversity
from detectors.document import Document
from detectors.documents import Documents
from detectors.minhash import shingle_hashes
from detectors.near_dup import NearDup, signatures
from detectors.protocols import Device
from detectors.words import CAPITAL, SENTENCE_START
from tests.bench.machine import machine
from tests.detectors import reference

_COMMON = ["the", "of", "and", "to", "a", "in", "leaf", "damp", "book", "page", "was", "it", "Page", "DON'T", "don’t"]
_MARKS = [" ", " ", " ", " ", ". ", ", ", "! ", "? ", "\n", "\n\n", "'", "’", "-", "…", "。", "\t", "\u00a0", "\r\n"]
_RARE = ["é", "ß", "Я", "中", "国", "カ", "ﾞ", "ไ", "น้ำ", "ह", "ि", "한", "ا", "👍", "🏽", "\u200d", "❤\ufe0f", "🇩", "🇪"]
_RARE += ["\u0301", "\u00ad", "İ", "ǅ", "½", "٣", "1️⃣", "\x00", "\x85", "\u2028", "𠀀", "antidisestablishmentarianism"]
_BROKEN = [b"\xff", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\x80"]


def _document(chance: random.Random) -> bytes | None:
    kind, length = chance.random(), chance.choice([0, 1, 2, 7, 20, 63, 64, 65, 130, 300])
    if kind < 0.03:
        return None
    if kind < 0.23:
        return chance.randbytes(length)
    if kind < 0.43:
        top = chance.choice([0x80, 0x250, 0x3000, 0x20000, 0x110000])
        return "".join(chr(chance.randrange(top)) for _ in range(length)).encode("utf-8", "surrogatepass")
    parts: list[bytes] = []
    for _ in range(length):
        draw = chance.random()
        table = _COMMON if draw < 0.5 else _MARKS if draw < 0.9 else _RARE
        parts.append(chance.choice(table).encode())
        if draw > 0.995:
            parts.append(chance.choice(_BROKEN))
    return b"".join(parts)


def _close(found: float | None, expected: float | None) -> bool:
    if found is None or expected is None or math.isnan(found):
        return found is expected or (expected is None and found is not None and math.isnan(found))
    return math.isclose(found, expected, rel_tol=2e-6, abs_tol=2e-7)


def _expected_diversity(words: list[reference.Word], text: bytes) -> dict[str, float | None]:
    folded, lengths, n = [w.folded for w in words], [len(w.text) for w in words], len(words)
    lines, sentences = reference.line_repetition(text), reference.sentence_lengths(words)
    found: dict[str, float | None] = {"words": n}
    if n:
        found |= {
            "ttr": reference.ttr(folded),
            "root_ttr": reference.ttr(folded) * math.sqrt(n),
            "mtld": reference.mtld(folded, 0.72),
            "yule_k": reference.yule_k(folded),
            "hapax_share": reference.hapax_share(folded),
            "zipf_slope": reference.zipf_slope(folded),
            "sentence_length_mean": n / len(sentences),
            "sentence_length_std": float(np.std(sentences)) if len(sentences) > 1 else None,
        }
    found |= {
        "mattr": reference.mattr(folded, 50) if n >= 50 else None,
        "hdd": reference.hdd(folded, 42) if n >= 42 else None,
        "dup_line_share": lines[0] if lines else None,
        "dup_line_bytes_share": lines[1] if lines else None,
    }
    for size in range(1, 11):
        there = n >= size
        if size <= 3:
            found[f"distinct_{size}"] = reference.distinct(folded, size) if there else None
        if 2 <= size <= 4:
            found[f"top_{size}gram"] = reference.top_share(folded, lengths, size) if there else None
        if size >= 2:
            found[f"dup_{size}gram"] = reference.duplicate_share(folded, lengths, size) if there else None
    return found


def _minhash(hashes: list[int]) -> Any:
    from datasketch import MinHash

    sketch = MinHash(num_perm=128, hashfunc=lambda value: value)
    sketch.update_batch(hashes)
    return sketch.hashvalues


def _check(batch: Documents, texts: list[bytes | None]) -> str | None:
    """What differs, and in which document; None where nothing does."""
    measured = {
        signal.name: signal.load(Device.CPU)(batch).to_pylist()
        for signal in (Document(), Diversity(min_words=0), Characters())
    }
    words = batch.words
    near = NearDup().load(Device.CPU)(batch)
    minima, exact = signatures(near["minhash"]), near["exact"].to_pylist()
    for i, raw in enumerate(texts):
        text, known = raw or b"", reference.segment(raw or b"")
        span = slice(int(words.doc_offsets[i]), int(words.doc_offsets[i + 1]))
        first = int(batch.offsets[i])
        if (words.start[span] - first).tolist() != [w.start for w in known]:
            return f"words of {raw!r}"
        if words.hashes[span].tolist() != [reference.hash_word(w.folded) for w in known]:
            return f"hashes of {raw!r}"
        if words.flags[span].tolist() != [SENTENCE_START * w.new_sentence + CAPITAL * w.capital for w in known]:
            return f"flags of {raw!r}"
        expected = {"diversity": _expected_diversity(known, text), "characters": reference.characters(text)}
        for name, values in expected.items():
            for field, value in values.items():
                if not _close(measured[name][i][field], value):
                    return f"{name}.{field} of {raw!r}: {measured[name][i][field]} is not {value}"
        if measured["document"][i]["characters"] != len(text.decode("utf-8", "surrogateescape")):
            return f"document.characters of {raw!r}"
        if known:
            hashes = shingle_hashes(words, i, 5).tolist()
            if minima[i].tolist() != _minhash(hashes).tolist():
                return f"minhash of {raw!r}"
        if exact[i] != _xxh64(text):
            return f"exact hash of {raw!r}"
    return None


_xxh64: Callable[[bytes], int]
try:
    from xxhash import xxh64_intdigest as _xxh64
except ImportError:
    from tests.detectors.test_near_dup import xxh64 as _xxh64


def main() -> int:
    """Run, print the JSON line, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=17)
    options = parser.parse_args()
    chance, done, began, difference = random.Random(options.seed), 0, time.monotonic(), None
    while done < options.documents and difference is None:
        texts = [_document(chance) for _ in range(chance.choice([1, 5, 60, 200]))]
        before, after = chance.randrange(3), chance.randrange(3)
        padding: list[bytes | None] = [b"outside of the slice \xff", None, b""]
        column = pa.array(
            [*padding[:before], *texts, *padding[:after]], chance.choice([pa.large_binary(), pa.binary()])
        )
        batch = Documents(pa.record_batch({"text": column}).slice(before, len(texts)))
        difference = _check(batch, texts)
        done += len(texts)
    report = {"documents": done, "differences": int(difference is not None), "seed": options.seed}
    report |= {"wall_s": round(time.monotonic() - began, 1), "machine": machine()}
    sys.stdout.write(json.dumps(report) + "\n")
    if difference is not None:
        sys.stderr.write(f"{difference}\n")
    return int(difference is not None)


if __name__ == "__main__":
    sys.exit(main())
