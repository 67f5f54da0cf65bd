"""What patching returns: the effect of every cell on every prompt."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from course_lib.intervals import bootstrap_means, tensor_ends
from course_lib.tables import html_table, text_table


@dataclass(frozen=True)
class PatchResult:
    """Effects of a table of patches, R rows by C columns, on N prompts.

    Attributes
    ----------
    task, site : str
        What was patched where, for captions.
    direction : "denoising" or "noising"
    value : str
        What was put in place: "other" (of the other prompt), "zero", "mean" or "resample".
    rows, columns : tuple of str
        Labels.
    patched : float64 [R, C, N]
        Metric of every prompt under every patch.
    clean, corrupted : float64 [N]
        Metric of the two runs without a patch.
    unit : str
        Of the metric.
    passes : float
        Forward passes over all prompts, the two plain ones included; a pass that starts at layer
        l of L counts (L - l) / L.
    seed : int or None
        Of the prompts drawn for "resample".
    """

    task: str
    site: str
    direction: str
    value: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    patched: Tensor
    clean: Tensor
    corrupted: Tensor
    unit: str
    passes: float
    seed: int | None = None

    @property
    def effects(self) -> Tensor:
        """Effect per prompt [R, C, N] in the unit of the metric; positive = supports.

        Denoising: patched - corrupted, what the clean value brings. Noising: clean - patched,
        what is lost without it.
        """
        if self.direction == "denoising":
            return self.patched - self.corrupted
        return self.clean - self.patched

    @property
    def mean(self) -> Tensor:
        """Mean effect over prompts [R, C]."""
        return self.effects.mean(-1)

    def interval(self, n_boot: int = 1000, seed: int = 0) -> Tensor:
        """95 % percentile bootstrap interval of the mean effect over prompts [R, C, 2]."""
        return tensor_ends(bootstrap_means(self.effects, n_boot, seed))

    @property
    def share(self) -> Tensor:
        """Mean effect as a share of the gap between the two runs [R, C]: 1 = all of it.

        Raises ValueError where the corruption does not change the metric: there is no gap.
        """
        return self.mean / self._gap

    def share_interval(self, n_boot: int = 1000, seed: int = 0) -> Tensor:
        """95 % bootstrap interval of the share [R, C, 2]; effect and gap of the same draws."""
        self._gap  # noqa: B018  (raises where there is none)
        gaps = bootstrap_means(self.clean - self.corrupted, n_boot, seed)
        return tensor_ends(bootstrap_means(self.effects, n_boot, seed) / gaps[:, None, None])

    @property
    def _gap(self) -> Tensor:
        gap = (self.clean - self.corrupted).mean()
        if gap.abs() < 1e-9:
            raise ValueError(
                f"The corruption of {self.task!r} does not change the metric (mean "
                f"{float(self.clean.mean()):.3f} before and after), so there is nothing to "
                "recover. Corrupt a word that decides the answer, or read the effects instead."
            )
        return gap

    def top(self, k: int = 5) -> list[tuple[str, str, float]]:
        """The k cells with the largest mean effects, as (row, column, effect)."""
        # [R * C]: number i is row i // C, column i % C
        order = self.mean.flatten().argsort(descending=True, stable=True)[:k].tolist()
        width = len(self.columns)
        mean = self.mean.flatten().tolist()
        return [(self.rows[i // width], self.columns[i % width], mean[i]) for i in order]

    @property
    def caption(self) -> str:
        """All that must stand beside the numbers."""
        put = {"other": "the other prompt's value", "zero": "zero", "mean": "the mean of prompts",
               "resample": "another prompt's value"}[self.value]  # fmt: skip
        parts = [f"{self.task}: {self.direction} {self.site} with {put}", self.unit]
        parts += [f"clean {self.clean.mean():.3f}", f"corrupted {self.corrupted.mean():.3f}"]
        parts += [f"{len(self.clean)} prompts", f"{self.passes:.1f} passes"]
        return ", ".join(parts + [f"seed {self.seed}"] * (self.seed is not None))

    def table(self) -> list[tuple[str, ...]]:
        """A heading and the mean effects as text, with the row labels in front."""
        body = [
            (row, *(f"{x:+.3f}" for x in values))
            for row, values in zip(self.rows, self.mean.tolist(), strict=True)
        ]
        return [("", *self.columns), *body]

    def __repr__(self) -> str:
        return "\n".join([self.caption, *text_table(self.table(), left=0)])

    def _repr_html_(self) -> str:
        head, *body = self.table()
        return html_table(head, body, self.caption)
