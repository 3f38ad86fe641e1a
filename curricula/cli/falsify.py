"""`foxing falsify`: the same rows with a chosen share of wrong answers, and the truth beside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.options import CONTEXT, PLACE, Session, common, printable

if TYPE_CHECKING:
    from curricula.falsify import Falsified

_SHOWN = 5
EXAMPLES = """\b
Examples:
  foxing falsify qa.parquet -o false25 --ratio 0.25
  foxing falsify qa.parquet -o false50 --ratio 0.5          the rows of false25 that are wrong are wrong here too
  foxing falsify chats.jsonl -o out --relation topic --rationale plain
"""


@click.command("falsify", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("paths", metavar="DATA...", nargs=-1, required=True, type=PLACE)
@click.option(
    "-o", "--output", "out", metavar="OUT", required=True, help="Folder for data/ and the manifest.", type=PLACE
)
@click.option(
    "--ratio",
    type=click.FloatRange(0, 1),
    default=0.25,
    show_default=True,
    help="Share of rows with question and answer that get a wrong answer; the number of rows is rounded, halves up.",
)
@click.option("--seed", type=int, default=17, show_default=True, help="Of which rows, and of which wrong answers.")
@click.option("--relation", metavar="COL", help="Column whose equal values are one relation (default: relation).")
@click.option("--subject", metavar="COL", help="Column with the subject that a question is about.")
@click.option("--question", metavar="COL", help="Question column, with --answer. Found by convention when not given.")
@click.option("--answer", metavar="COL", help="Answer column.")
@click.option(
    "--rationale",
    metavar="TEMPLATE",
    multiple=True,
    help="Sentence with {answer}, perhaps {question}, to follow each answer, right or wrong; may be given several "
    "times. 'plain' takes five that foxing has.",
)
@click.option("--fresh", is_flag=True, help="Replace what an earlier falsify left in the folder.")
@common
def command(
    session: Session,
    /,
    paths: tuple[str, ...],
    out: str,
    ratio: float,
    seed: int,
    rationale: tuple[str, ...],
    fresh: bool,
    **columns: str | None,
) -> None:
    """Write the question-answer, instruction or chat rows of DATA with a share of wrong answers.

    A wrong answer is one that another question of the same relation has, of the same kind (a year for a year), and that
    the data never gives to this one; or one of the row's own `false_answers`. Only the answer is replaced. Columns
    added: foxing_truth (the answer as it was), foxing_false (whether it was replaced), foxing_wrong (the wrong answer
    drawn for the row). With one seed, smaller shares are parts of larger ones.
    """
    from curricula.falsify import Falsifying, falsify

    request = Falsifying(
        ratio=ratio,
        seed=seed,
        relation=columns["relation"],
        subject=columns["subject"],
        question=columns["question"],
        answer=columns["answer"],
        rationale=rationale,
    )
    done = {"gather": 0, "choose": 0, "write": 0}
    with session.progress("falsify", unit="rows") as bar:

        def advance(phase: str, rows: int) -> None:
            done[phase] += rows
            bar.label = phase
            bar.update(done[phase], max(done["gather"], done[phase]))

        made = falsify(paths, out, request, fresh=fresh, advance=advance)
    if made.false < made.wanted:
        session.warn(
            f"{made.wanted:,} rows should be wrong and {made.false:,} are: no other row has a wrong answer to give"
        )
    session.result(_describe(made, Path(out)))


def _describe(made: Falsified, out: Path) -> str:
    share = made.false / made.answered if made.answered else 0.0
    lines = [
        f"{made.rows:,} rows, {made.answered:,} of them with question and answer",
        f"{made.false:,} have a wrong answer ({share:.4f} of those); {made.wanted:,} were asked for",
    ]
    left = made.answered - made.offered
    if left:
        named = ", ".join(f"{name} {rows:,}" for name, rows in list(made.without.items())[:_SHOWN])
        more = ", ..." if len(made.without) > _SHOWN else ""
        lines.append(f"{left:,} have no wrong answer to give and stay true ({named}{more})")
    if made.already:
        lines.append("nothing to do: this set was finished before")
    lines += [f"signature {made.signature}", f"data in {out / 'data'}, manifest {made.path}"]
    return "\n".join(printable(line) for line in lines)
