"""Strategies for documents: text of many scripts, words that repeat, broken UTF-8, nulls."""

from __future__ import annotations

from hypothesis import strategies as st

_PIECES = [
    "the", "The", "fox", "FOX", "a", "I", "J", "don't", "don’t", "x1", "brown", "antidisestablishmentarianism", "ñandú",
    "École", "ΟΔΟΣ", "οδός", "лиса", "漢", "字", "カ", "ﾞ", "น้ำ", "हिन्दी", "كتاب", "빠른", "😀", "👩", "🏽", "❤", "⚕",
    "🇩", "🇪", "\u0301", "\u200d", "\ufe0f", "\u00ad", "\u200b", " ", " ", " ", "\n", "\r\n", "\t", ".", ". ", "! ",
    "?", "…", "。", "'", "’", "-", "_", "“", "\x00", "\x7f", "\u00a0", "\u2028", "\x85", "İ", "ǅ", "½",
    "🏴\U000e0067\U000e007f",
]  # fmt: skip
_BROKEN = [b"\xff", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\x80"]

pieces = st.lists(st.sampled_from([p.encode() for p in _PIECES] + _BROKEN), max_size=40).map(b"".join)
any_bytes = st.one_of(pieces, st.binary(max_size=60), st.text(max_size=30).map(lambda t: t.encode()))
batches = st.lists(st.one_of(st.none(), any_bytes), max_size=6)
vocabulary = st.lists(st.integers(0, 12), min_size=1, max_size=200)
