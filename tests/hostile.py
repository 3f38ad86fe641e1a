"""A corpus that attacks whoever shows it: markup, scripts, addresses and acting characters everywhere."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.corpora import sentence

PAYLOADS = (
    "</script><script>window.pwned=1;console.error('pwned')</script>",
    '"><img src=x onerror="window.pwned=1;console.error(\'pwned\')">',
    "<svg onload=window.pwned=1><a href='javascript:window.pwned=1'>click</a></svg>",
    "javascript:window.pwned=1//https://evil.invalid/x",
    "' onmouseover='window.pwned=1' style='position:fixed;inset:0'",
    "]]></title></style><style>*{display:none}</style>",
    "<meta http-equiv=refresh content='0;url=https://evil.invalid'>",
    "``````` ~~~ | [a](javascript:pwned) ![b](https://evil.invalid/b.png) <!-- --> {{7*7}} ${7*7}",
    "\u202egnp.exe\u2066 \x00\x07\x1b[31m \x9b31m \u2028 \ufeff \x7f end",
)
ACTING = "\x00\x07\x1b\x9b\x7f\u202e\u2066\u2028\ufeff"
"""Characters of the payloads that may not reach a reader."""
SOURCES = ("</script><b>src", '"><img src=x onerror=window.pwned=1>', "a\u202eb\x1b[31m|`c`", "plain")


ITEM = "which of these old bindings was repaired with thread that had been waxed twice before the flood came"
"""A benchmark item that every eighth text holds."""


def hostile_text(rng: random.Random, number: int) -> str:
    """A text of some hundred words that holds every payload."""
    parts = [sentence(rng, 14) for _ in range(18)]
    for at, payload in enumerate(PAYLOADS):
        parts.insert(2 * at, payload)
    item = f"{ITEM} <b>ITEM</b> " if number % 8 == 0 else ""
    return f"As an AI language model, number {number}: {item}" + " ".join(parts)


def write_hostile(folder: Path, rows: int = 48) -> Path:
    """A Parquet file of hostile name, columns text, src, dom and day; every second row repeats one, or nearly."""
    rng = random.Random(7)
    texts: list[str] = []
    for number in range(rows):
        if number % 2 == 0:
            texts.append(hostile_text(rng, number))
        elif number % 4 == 1:
            texts.append(texts[-1])
        else:
            texts.append(" ".join(texts[-1].split(" ")[:-12]) + " <i>RIVER</i> \u202e<u>end</u>")
    table = pa.table(
        {
            "text": texts,
            "src": [SOURCES[at % len(SOURCES)] for at in range(rows)],
            "dom": [PAYLOADS[at % len(PAYLOADS)] for at in range(rows)],
            "day": [f"2024-{1 + at % 6:02d}-11" for at in range(rows)],
        }
    )
    file = folder / '"><img src=x onerror=window.pwned=1>.parquet'
    pq.write_table(table, file)
    return file
