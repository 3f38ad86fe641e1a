"""Makes a small corpus that tells a story: human text from this Python installation, machine-written text from here.

    python samples/make_samples.py [OUT]        OUT is samples/corpus unless named

The same Python makes the same bytes. Every row says who wrote it (`written_by`: person, machine or program), so that
what an audit finds can be held against the truth; foxing reads no such column.
"""

from __future__ import annotations

import ast
import datetime
import gzip
import json
import random
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from machine_text import Passage, compose, passages
from question_answers import CHATS, FACTS, TEMPLATE_FACTS

PERSON, MACHINE, PROGRAM = "person", "machine", "program"
Row = dict[str, object]
SEED = 17
# Folders of the standard library whose docstrings are no prose, or not from the Python authors.
SKIPPED = {
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "turtledemo",
}


def main(out: Path) -> None:
    """Write the corpus into `out`, which is made if need be; files of an earlier run are replaced."""
    rng = random.Random(SEED)
    out.mkdir(parents=True, exist_ok=True)
    topics, prose = list(handbook_pages()), list(docstring_pages())
    rng.shuffle(prose)
    handmade = passages()
    english = [passage for passage in handmade if passage.language == "en"]
    foreign = [passage for passage in handmade if passage.language != "en"]
    composed = compose(260, SEED)
    handbook, held_back = topics[:-40], topics[-40:]

    write_parquet(out / "handbook.parquet", handbook_rows(handbook), row_group_size=100)
    write_parquet(out / "docstrings.parquet", docstring_rows(prose[:700], english[:24], rng), row_group_size=250)
    write_parquet(
        out / "content_farm.parquet", farm_rows(english[24:] + composed, prose[700:730], rng), row_group_size=128
    )
    write_crawl(out / "crawl.parquet", crawl_rows(held_back, topics, prose[730:860], english, composed, rng))
    write_parquet(out / "qa.parquet", qa_rows(rng), row_group_size=50)
    write_jsonl(out / "support_chat.jsonl", chat_rows(english, rng))
    write_jsonl(out / "translated.jsonl.gz", [_row(f"t{i}", p.text, MACHINE) for i, p in enumerate(foreign)])


def handbook_pages() -> Iterator[str]:
    """The Python language reference as `help()` shows it, cut into pages of several hundred characters."""
    from pydoc_data.topics import topics

    for name in sorted(topics):
        yield from _pages(_prose(topics[name]))


def docstring_pages() -> Iterator[str]:
    """Docstrings of the standard library, a module's prose joined into pages of several hundred characters."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        if SKIPPED & set(path.relative_to(root).parts):
            continue
        nodes = _blocks(ast.parse(path.read_bytes()))
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        docstrings = [ast.get_docstring(node) or "" for node in nodes if isinstance(node, documented)]
        yield from _pages([paragraph for text in docstrings for paragraph in _prose(text)])


def _blocks(tree: ast.Module) -> Iterator[ast.AST]:
    """What may hold a definition, level by level; expressions, most of a tree, may not."""
    nodes: list[ast.AST] = [tree]
    for node in nodes:
        nodes += [
            one for one in ast.iter_child_nodes(node) if isinstance(one, ast.stmt | ast.ExceptHandler | ast.match_case)
        ]
        yield node


def _prose(text: str) -> list[str]:
    """Paragraphs of running text, unwrapped; code, grammar, tables and headings are left out."""
    paragraphs = [block.strip("\n") for block in text.split("\n\n")]
    kept = [block for block in paragraphs if re.match(r'["\w]', block) and len(block) >= 60]
    code = (">>>", "::=", "\n    ", "****", "====", "----", "~~~~")
    return [" ".join(block.split()) for block in kept if not any(mark in block for mark in code)]


def _pages(paragraphs: list[str], *, least: int = 400, most: int = 750) -> Iterator[str]:
    page: list[str] = []
    for paragraph in paragraphs:
        page.append(paragraph)
        if sum(map(len, page)) >= most:
            yield "\n\n".join(page)
            page = []
    if sum(map(len, page)) >= least:
        yield "\n\n".join(page)


def _row(key: str, text: str | None, written_by: str) -> Row:
    return {"id": key, "text": text, "written_by": written_by}


def handbook_rows(pages: list[str]) -> list[Row]:
    """People only: what a clean source looks like."""
    return [_row(f"h{i}", page, PERSON) for i, page in enumerate(pages)]


def docstring_rows(pages: list[str], slipped_in: list[Passage], rng: random.Random) -> list[Row]:
    """People, and a few chatbot answers that someone pasted among them."""
    rows = [(page, PERSON) for page in pages]
    for passage in slipped_in:
        rows.insert(rng.randrange(len(rows)), (passage.text, MACHINE))
    return [_row(f"d{i}", text, by) for i, (text, by) in enumerate(rows)]


def farm_rows(written: list[Passage], pages: list[str], rng: random.Random) -> list[Row]:
    """Machines, and a little that people wrote."""
    rows = [(passage.text, MACHINE) for passage in written] + [(page, PERSON) for page in pages]
    rng.shuffle(rows)
    return [_row(f"f{i}", text, by) for i, (text, by) in enumerate(rows)]


def crawl_rows(
    pages: list[str],
    elsewhere: list[str],
    more: list[str],
    english: list[Passage],
    composed: list[Passage],
    rng: random.Random,
) -> list[tuple[str, str | None, str]]:
    """(site, text, written_by): fresh pages, copies, near copies, spam, and rows that are odd in every way we met."""
    rows: list[tuple[str, str | None, str]] = [("docs.example", page, PERSON) for page in pages]
    rows += [("blog.example", page, PERSON) for page in more]
    rows += [("mirror.example", page, PERSON) for page in rng.sample(elsewhere[:-40], 60)]
    rows += [("mirror.example", _edited(page, rng), PERSON) for page in rng.sample(elsewhere[:-40], 60)]
    rows += [("seo.example", passage.text, MACHINE) for passage in rng.sample([*english, *composed], 60)]
    rows += [("spam.example", text, PROGRAM) for text in _spam(rng)]
    rng.shuffle(rows)
    return rows[:200] + [("odd.example", text, PERSON) for text in ODD] + rows[200:]


def _edited(page: str, rng: random.Random) -> str:
    """A near copy: one word in forty replaced, as an editor or a bad scan would."""
    words = page.split(" ")
    for _ in range(max(1, len(words) // 40)):
        words[rng.randrange(len(words))] = rng.choice(("thing", "teh", "page", "[sic]", "2019"))
    return " ".join(words)


def _spam(rng: random.Random) -> Iterator[str]:
    goods = ("cheap watches", "free ringtones", "miracle diet tea", "instant loans", "replica shoes")
    for i in range(40):
        item = rng.choice(goods)
        phrase = f"Buy {item} online, best {item}, {item} shop, order {item} now! "
        yield phrase * (8 + i % 9)
    for _ in range(10):
        yield "Click here to continue reading. " * 40


ODD: tuple[str | None, ...] = (
    None,
    "",
    " ",
    "ok",
    "🎉🎉🎉 100 posts today!! thank you all 👩‍👩‍👧‍👦 ❤️‍🔥 🏴󠁧󠁢󠁷󠁬󠁳󠁿",
    "nul \x00 inside, bell \x07, and a right-to-left override \u202eoverride\u202c",
    "e\u0301 is not \u00e9, and \u1e9b\u0323 is neither; zero\u200bwidth\u200bspaces; a lone \ufeff mark",
    "Ｆｕｌｌ－ｗｉｄｔｈ ｌｅｔｔｅｒｓ and 𝓂𝒶𝓉𝒽 𝓁𝑒𝓉𝓉𝑒𝓇𝓈 and cyrillic lооkalikes",
    "a" * 5000,
    "no spaces at all:" + "supercalifragilistic" * 60,
    "line\r\nbreaks\rof\nevery\u2028kind\u2029and\x85more",
    None,
)


def write_crawl(path: Path, rows: list[tuple[str, str | None, str]]) -> None:
    """An awkward schema on purpose: dictionary, nested struct with a list, late nulls, time zone, metadata."""
    count = len(rows)
    fetched = datetime.datetime(2021, 3, 14, 15, 9, 26, tzinfo=datetime.UTC)
    where = pa.struct([("url", pa.string()), ("depth", pa.int16()), ("links", pa.list_(pa.string()))])
    table = pa.table(
        {
            "id": pa.array([f"c{i}" for i in range(count)]),
            "text": pa.array([text for _, text, _ in rows], pa.large_string()),
            "site": pa.array([site for site, _, _ in rows]).dictionary_encode(),
            "where": pa.array([_where(site, i) for i, (site, _, _) in enumerate(rows)], where),
            "quality": pa.array([None] * (count - 5) + [0.5, 0.25, None, 0.75, 1.0], pa.float32()),
            "fetched": pa.array(
                [fetched + datetime.timedelta(minutes=i) for i in range(count)], pa.timestamp("us", tz="Europe/Berlin")
            ),
            "written_by": pa.array([by for _, _, by in rows]),
        }
    ).replace_schema_metadata({"crawler": "none; made by samples/make_samples.py", "note": "späße"})
    pq.write_table(table, path, row_group_size=64, compression="zstd")


def _where(site: str, i: int) -> Row | None:
    return None if i % 11 == 0 else {"url": f"https://{site}/{i}", "depth": i % 5, "links": ["/", "/about"][: i % 3]}


def qa_rows(rng: random.Random) -> list[Row]:
    """Questions and answers: people's own, and a run of them in one uniform format."""
    rows: list[Row] = [{"question": q, "answer": a, "correct": right, "written_by": PERSON} for q, a, right in FACTS]
    for country, capital, river in TEMPLATE_FACTS:
        wrong = rng.random() < 0.15
        named = rng.choice(TEMPLATE_FACTS)[1] if wrong else capital
        answers = (
            (f"What is the capital of {country}?", f"The capital of {country} is {named}.", named == capital),
            (f"Which river flows through {capital}?", f"The river that flows through {capital} is {river}.", True),
            (f"In which country is {capital}?", f"{capital} is located in {country}.", True),
        )
        rows += [{"question": q, "answer": a, "correct": right, "written_by": MACHINE} for q, a, right in answers]
    rng.shuffle(rows)
    return [{"id": f"q{i}", **row} for i, row in enumerate(rows)]


def chat_rows(english: list[Passage], rng: random.Random) -> list[Row]:
    """Chats with an assistant, as `messages`."""
    rows: list[Row] = []
    for i, passage in enumerate(rng.sample(english, 30)):
        asked: Row = {"role": "user", "content": rng.choice(CHATS)}
        said: Row = {"role": "assistant", "content": passage.text}
        rows.append({"id": f"s{i}", "messages": [asked, said], "written_by": MACHINE})
    return rows


def write_parquet(path: Path, rows: list[Row], *, row_group_size: int) -> None:
    """Write rows as zstd Parquet with several row groups."""
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=row_group_size, compression="zstd")


def write_jsonl(path: Path, rows: list[Row]) -> None:
    """Write one JSON object a line, gzipped when the name ends in .gz (without a time stamp, so bytes repeat)."""
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("corpus"))
