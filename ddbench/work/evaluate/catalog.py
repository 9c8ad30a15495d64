"""The registered protocols (docs/explanation/evaluation.md says what each is for). No torch."""

from __future__ import annotations

from typing import Any, Literal

from ddbench.core.api import ProtocolInfo, Standing
from ddbench.core.plugin.hooks import hookimpl
from ddbench.core.plugin.registry import Draft

DEFAULT = "hard"


LABELS: dict[str | None, Literal["soft", "own"]] = {"soft": "soft", "own": "own", "recipe": "own"}


def _sgd(
    name: str, summary: str, version: int = 1, standing: Standing | None = None, lr_repetition: Literal[-1, 0] = 0,
    draws_random: bool = False, params: str = "SGDParams", **defaults: Any,
) -> ProtocolInfo:  # fmt: skip
    return ProtocolInfo(
        name=name,
        version=version,
        target="ddbench.work.evaluate.sgd:SGDProtocol",
        params=f"ddbench.work.evaluate.params:{params}",
        summary=summary,
        defaults=defaults,
        labels=LABELS.get(defaults.get("targets"), "hard"),
        follows_recipe=defaults.get("targets") == "recipe",
        chooses_lr=defaults["lr"] == "grid",
        lr_repetition=lr_repetition,
        draws_random=draws_random,
        standing=standing or Standing(),
    )


PROTOCOLS: tuple[ProtocolInfo, ...] = (
    _sgd("hard", "hard labels, DSA, learning rate chosen on val", 2, updates="capped", lr="grid", lr_repetition=-1,
         draws_random=True, standing=Standing("hard labels, DSA", own_recipe="native", unaugmented="noaug")),
    _sgd("hard-fixed", "hard with learning rate .01", updates="capped", lr=0.01,
         standing=Standing("hard labels, DSA, lr .01", own_recipe="native")),
    _sgd("hard-long", "hard without the cap on updates (losslessness)", 2, updates="long", lr="grid", lr_repetition=-1,
         standing=Standing("hard labels, DSA, long", own_recipe="native", full_under="real")),
    _sgd("noaug", "hard without augmentation", updates="capped", lr="grid", learned_lr=True, augmentation="none",
         standing=Standing("hard labels, no augmentation")),
    _sgd("soft", "hard with probabilities or softmax(logits) as targets", updates="capped", lr="grid", learned_lr=True,
         targets="soft", standing=Standing("soft labels, DSA")),
    _sgd("native", "the set's own recipe; random under the same recipe beside it", 2, params="RecipeParams",
         passes=1001, lr=0.01, targets="recipe", standing=Standing("own recipe", full_under="real")),
    _sgd("dc2021", "301 passes at .01/.001, no augmentation (as in DC, 2021)", updates="dc2021", lr=0.01),
    _sgd("cropflip", "hard with crops and mirroring instead of DSA", updates="capped", lr="grid", learned_lr=True,
         augmentation="crop_flip"),
    _sgd("real", "for full: cosine SGD, crop and flip, learning rate chosen on val", updates="capped", lr="grid",
         schedule="cosine", augmentation="crop_flip"),
    _sgd("val", "small and fixed, on the set's own labels, for ctx.score", version=2, updates=300, lr=0.01,
         targets="own"),
)  # fmt: skip
"""In the order of their columns in the view ``regime``."""


@hookimpl
def ddbench_register_protocols(registry: Draft[ProtocolInfo]) -> None:
    """The protocols of ``ddbench.work.evaluate``."""
    for protocol in PROTOCOLS:
        registry.add(protocol)
