"""What the numbers are that methods say about their runs (``--details``); imports no torch.

A method of another plugin may say these too, in the same sense; names that do not stand here are shown as they are.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a column of ``--details`` shows.

    Attributes:
        names: Of the numbers, as in records; people sort by the first.
        header: What stands above the column.
        meaning: What it is, a line below the table, with its unit.
        pattern: How the numbers are put together, by their places in ``names``.
        spec: Format of each.
    """

    names: tuple[str, ...]
    header: str
    meaning: str
    pattern: str = "{0}"
    spec: str = ".4g"

    def text(self, values: list[float]) -> str:
        """The numbers as people read them."""
        return self.pattern.format(*(format(value, self.spec) for value in values))

    def shown(self, value: float) -> float:
        """The number that stands for the first name's ``value``."""
        return float(format(value, self.spec))


SAID = (
    Quantity(
        ("window_last_top1", "window_first_top1"),
        "window %",
        "the experts' accuracy on (a part of) train, at the first start of the window and at the last",
        "{1}–{0}",
        ".3g",
    ),
    Quantity(
        ("segment_norm",),
        "segment",
        "mean length of a matched segment, ‖θ*_t − θ*_{t+M}‖ over all parameters",
        spec=".3g",
    ),
    Quantity(
        ("c", "c_sd"),
        "c",
        "mean cosine of two continuations of an expert from one start of the window, ± its standard "
        "deviation over the starts; below 0.5 the window is noise-limited",
        "{0} ± {1}",
        ".2f",
    ),
    Quantity(
        ("matching_loss",),
        "loss",
        "matching loss, mean over the last fifth of the steps, refused ones included",
        spec=".3g",
    ),
    Quantity(
        ("fresh_loss",),
        "fresh loss",
        "matching loss of the finished set on continuations that no step has seen; no set gets below about 1 − c there",
        spec=".3g",
    ),
    Quantity(("accepted_steps",), "accepted", "outer steps that changed the set", spec=".6g"),
    Quantity(("skipped_percent",), "refused %", "share of the outer steps that the gate refused", spec=".3g"),
    Quantity(
        ("lr_first", "lr_last"),
        "β",
        "learning rate of the students at first → at the end [per update]",
        "{0} → {1}",
        ".3g",
    ),
    Quantity(("lr_high", "lr_low"), "β range", "lowest and highest β of the run [per update]", "{1}–{0}", ".3g"),
    Quantity(
        ("lr_loss_0.01", "lr_loss_0.03", "lr_loss_0.1", "lr_loss_0.3"),
        "loss at β₀ .01/.03/.1/.3",
        "matching loss of the first images with each β₀ that the search tried",
        "{0}/{1}/{2}/{3}",
        ".3g",
    ),
    Quantity(("image_change",), "change", "‖X − X₀‖ / ‖X₀‖ of what is stored", spec=".3g"),
    Quantity(
        ("pixel_moved", "moved_percent"),
        "pixels moved",
        "mean |X − X₀| of the set's pixels [standard deviations of real pixels], and the share that moved by more "
        "than 0.1",
        "{0} sd, {1} %",
        ".3g",
    ),
    Quantity(("lr_img_last",), "lr_img last", "learning rate of pixels at the end [in units of 0 … 1]", spec=".3g"),
    Quantity(
        ("latents", "latent_numbers", "decoder_bytes"),
        "latents",
        "latents of the set, numbers of each, and bytes of the decoder that all of them share",
        "{0} × {1}, {2} B",
        ".6g",
    ),
    Quantity(("latent_change",), "latents moved", "‖Z − Z₀‖ / ‖Z₀‖ of the latents", spec=".3g"),
    Quantity(("matching_s",), "matching s", "seconds of matching gradients"),
    Quantity(("training_s",), "training s", "seconds of training networks between matchings"),
    Quantity(("snapshot",), "snapshot", "which snapshot of the experts labels the images"),
    Quantity(("snapshot_top1",), "snapshot %", "the experts' accuracy on (a part of) train at that snapshot"),
    Quantity(("draw",), "draw", "which random set was best on val, counted from 0"),
    Quantity(("tried",), "tried", "random sets among which it is the best"),
    Quantity(("val_top1",), "val %", "its accuracy on val"),
)
"""In the order of the columns."""
