"""The `foxing` command: a lazy group, so that help and errors cost no imports."""

from __future__ import annotations

import errno
import gc
import importlib
import signal
import sys

import click

from audit.cli.options import CONTEXT, printable
from detectors.errors import FoxingError

__all__ = ["COMMANDS", "Foxing", "foxing", "main"]

_COLLECT_AFTER = 200_000
COMMANDS = {
    "scan": ("audit.cli.scan", "Measure a corpus and write findings."),
    "check": ("audit.cli.check", "Judge findings or files against budgets, and exit 0, 1 or 2."),
    "report": ("curricula.cli.report", "Write one page about a scan: HTML, JSON, Markdown or a dataset card."),
    "findings": ("audit.cli.findings", "Write findings and decisions out, one line a corpus row."),
    "review": ("audit.cli.review", "Show the worst duplicates or leaked passages side by side."),
    "compare": ("audit.cli.compare", "Compare two audits: what changed, and whether it is chance."),
    "ledger": ("audit.cli.ledger", "Keep audits over time, and say whether they drift."),
    "explain": ("audit.cli.explain", "Say what moved a score, or what sets flagged rows apart."),
    "calibrate": ("audit.cli.calibrate", "Make a human reference of text that you know people wrote."),
    "probe": ("audit.cli.probe", "Say what a model knows of the facts in a corpus (SliCK)."),
    "index-benchmarks": ("audit.cli.index_benchmarks", "Make an index of benchmark items to search a corpus for."),
    "curate": ("curricula.cli.curate", "Write filtered, reordered training shards and a manifest."),
    "verify": ("curricula.cli.verify", "Recount and re-digest what a manifest promises."),
    "undo": ("curricula.cli.undo", "Rebuild the rows that a curate read, in their order."),
    "falsify": ("curricula.cli.falsify", "Write a set with a known share of false answers."),
    "train": ("curricula.cli.train", "Train a model on rows in their order, and keep its losses."),
    "trial": ("curricula.cli.trial", "Train arms that differ in their data, and say which is better."),
    "experiment": ("curricula.cli.experiment", "Look for what a paper found, by what was declared before."),
    "generate": ("curricula.cli.generate", "Let a model write answers or texts in place of those of a corpus."),
    "train-detector": ("curricula.cli.train_detector", "Fine-tune a model into a detector, and measure it."),
    "rule": ("audit.cli.rule", "List the rules, or explain one."),
    "signals": ("audit.cli.signals", "List the signals, or explain one."),
    "config": ("audit.cli.config", "Show or check the settings in force."),
    "doctor": ("audit.cli.doctor", "Say what foxing runs on, and what is in its way."),
}


class Foxing(click.Group):
    """Loads a command's module when that command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        found = importlib.import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line a command, from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Foxing, context_settings=CONTEXT)
@click.version_option(package_name="foxing", prog_name="foxing")
def foxing() -> None:
    """Audit what language models are trained on, and write training shards that do something about it.

    Rates are about corpora, at stated error rates. A score is never a verdict about one author.
    """


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 over budget or mismatch, 2 could not do the job, 130 Ctrl-C."""
    # What a command imports lives as long as it does: looking through it for garbage again and again is a tenth of the
    # time of a small scan.
    gc.set_threshold(_COLLECT_AFTER)
    _refuse_names()
    try:
        foxing(standalone_mode=False)
    except FoxingError as error:
        _fail(str(error), 2)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # once more, and the process ends at once
        _fail("interrupted. Run the same command again to go on.", 130)
    except OSError as error:
        if error.errno == errno.EPIPE or "Broken pipe" in str(error):
            sys.stderr.close()
            sys.exit(141)
        _fail(
            f"{error.filename or 'input or output'}: {error.strerror or error}. Check the path, rights and free space.",
            2,
        )
    finally:
        # What is left lives until the process ends, which is now: looking through it once more takes 0.2 s.
        gc.freeze()


def _refuse_names() -> None:
    """Names are written to files of UTF-8, and must lead back to where they came from."""
    for word in sys.argv[1:]:
        try:
            word.encode("utf-8")
        except UnicodeEncodeError:
            shown = word.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            _fail(f"{shown}: is not valid UTF-8. Rename the file or folder.", 2)


def _fail(message: str, code: int) -> None:
    click.echo(f"foxing: error: {printable(' '.join(message.split()))}", err=True)
    sys.exit(code)
