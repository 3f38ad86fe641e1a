"""Whole runs of the command, as a user starts it: rate, start-up, slope, workers, memory."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import corpora
from tests.bench.clock import Ran, floors, run

_SMALL_ROWS = 20
_SLOPE_BYTES = 500_000_000


@dataclass
class Scans:
    """Scans of one setting, each into a folder of its own, which is thrown away.

    Attributes:
        scratch: folder for outputs.
        core: the core that one worker is kept on.
        options: more words of the command line.
        fixed_cpu_s: of a scan of 20 rows with a warm cache, which is start-up; subtracted from net figures.
    """

    scratch: Path
    core: int
    options: Sequence[str] = ()
    fixed_cpu_s: float = field(default=0.0, init=False)

    def foxing(self, *words: str, cores: set[int] | None = None) -> Ran:
        """Run `foxing WORDS...`."""
        command = str(Path(sys.executable).with_name("foxing"))
        return run([command, *words], cores or {self.core})

    def scan(self, *paths: Path, workers: int = 1, cores: set[int] | None = None, keep: str = "") -> Ran:
        """Scan with nothing there yet; the findings stay only where `keep` names their folder."""
        out = self.scratch / (keep or "findings")
        shutil.rmtree(out, ignore_errors=True)
        words = ["scan", *map(str, paths), "-o", str(out), "--workers", str(workers), *self.options]
        if "--config" not in self.options:
            words.append("--isolated")
        try:
            return self.foxing(*words, cores=cores)
        finally:
            if not keep:
                shutil.rmtree(out, ignore_errors=True)

    def start_up(self, source: Path) -> dict[str, float]:
        """CPU seconds of `--help` and of a scan of 20 rows: the first scanned row cannot come later than its end."""
        small = corpora.head(source, _SMALL_ROWS, self.scratch / "small.parquet")
        self.scan(small)
        runs = [self.scan(small) for _ in range(3)]
        self.fixed_cpu_s = min(one.cpu_s for one in runs)
        return {
            "help_cpu_s": min(self.foxing("--help").cpu_s for _ in range(5)),
            "small_scan_cpu_s": self.fixed_cpu_s,
            "small_scan_wall_s": min(one.wall_s for one in runs),
            "small_scan_rss_mb": max(one.rss_mb for one in runs),
        }

    def rate(self, path: Path, times: int, keep: str = "") -> dict[str, float]:
        """End to end, one worker on one core: the best of `times` runs, net of start-up and gross."""
        size = corpora.text_bytes(path) if path.is_file() else 0
        best = min((self.scan(path, keep=keep) for _ in range(times)), key=lambda one: one.cpu_s)
        return self._figures(size, best)

    def _figures(self, size: int, ran: Ran) -> dict[str, float]:
        net = max(1e-9, ran.cpu_s - self.fixed_cpu_s)
        return {
            "text_bytes": size,
            "cpu_s": ran.cpu_s,
            "wall_s": ran.wall_s,
            "rss_mb": ran.rss_mb,
            "gross_mb_s": size / 1e6 / ran.cpu_s,
            "net_mb_s": size / 1e6 / net,
            "net_ns_per_byte": net / size * 1e9,
        }

    def slope(self, source: Path, gigabytes: Sequence[float]) -> list[dict[str, float]]:
        """Cost a byte as the corpus grows: the same file again and again, net of start-up.

        Small corpora run up to three times, the best counts. Each point has the regex floor of just before and after
        it, for a machine that others use is not the same machine ten minutes later.
        """
        one = corpora.text_bytes(source)
        points = []
        for wanted in gigabytes:
            times = max(1, round(wanted * 1e9 / one))
            folder = corpora.repeated(source, times, self.scratch / "repeated")
            try:
                before = floors(source)["regex"]
                runs = [self.scan(folder) for _ in range(max(1, min(3, _SLOPE_BYTES // (one * times))))]
                floor = (before + floors(source)["regex"]) / 2
            finally:
                shutil.rmtree(folder)
            found = self._figures(one * times, min(runs, key=lambda ran: ran.cpu_s))
            points.append(
                {"files": times, **found, "floor_ns_per_byte": floor, "net_of_floor": found["net_ns_per_byte"] / floor}
            )
        return points

    def workers(self, source: Path, count: int, cores: set[int]) -> dict[str, float]:
        """The same corpus with one worker and with `count`, on as many cores.

        Returns:
            `cpu_efficiency`: CPU seconds of one worker over those of all, start-up included; `wall_efficiency`: the
            speed-up as a share of `count`, which on a machine that others use too says little.
        """
        folder = corpora.repeated(source, 2 * count, self.scratch / "repeated")
        try:
            one = self.scan(folder, workers=1, cores={self.core})
            all_ = self.scan(folder, workers=count, cores=cores)
        finally:
            shutil.rmtree(folder)
        return {
            "workers": count,
            "cores": len(cores),
            "text_bytes": 2 * count * corpora.text_bytes(source),
            "cpu_s_one": one.cpu_s,
            "cpu_s_all": all_.cpu_s,
            "wall_s_one": one.wall_s,
            "wall_s_all": all_.wall_s,
            "cpu_efficiency": one.cpu_s / all_.cpu_s,
            "wall_efficiency": one.wall_s / all_.wall_s / count,
            "rss_mb_a_process": all_.rss_mb,
        }

    def memory(self, source: Path, sizes: Sequence[int]) -> dict[str, list[dict[str, float]]]:
        """Resident memory and cost a byte as a row group grows, and as a document does."""
        groups, documents = [], []
        for size in sizes:
            path = corpora.one_row_group(source, size, self.scratch / "group.parquet")
            groups.append({"row_group_bytes": size, **self._figures(corpora.text_bytes(path), self.scan(path))})
            path.unlink()
            path = corpora.one_document(source, size // 10, self.scratch / "document.parquet")
            documents.append({"document_bytes": size // 10, **self._figures(size // 10, self.scan(path))})
            path.unlink()
        return {"row_group": groups, "document": documents}
