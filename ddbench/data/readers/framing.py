"""How images of any shape become squares of one size: a part of how a source of one's own is read. No torch, no Pillow.

The pixels that result decide the revision, and so all keys; how they were made is remembered beside it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ddbench.core.specs import Frozen

LARGEST = 256
"""Side of the largest images that a data set of one's own may have [pixels]."""


class Framing(Frozen):
    """What is asked for; nothing: images are taken as they are, and must be squares of one size.

    Attributes:
        resize: Side of all images, 1 … 256 [pixels]; None: their own.
        crop: What becomes of images that are not square: ``center`` keeps the largest square in their middle, ``pad``
            adds black margins; None: they are refused.
        gray: Make all images grey (ITU-R 601 luma).
        rgb: Make all images RGB, also where all are grey.
    """

    resize: Annotated[int, Field(json_schema_extra={"minimum": 1, "maximum": LARGEST})] | None = Field(
        default=None, strict=True
    )
    crop: Literal["center", "pad"] | None = None
    gray: bool = Field(default=False, strict=True)
    rgb: bool = Field(default=False, strict=True)

    @field_validator("resize")
    @classmethod
    def _possible(cls, value: int | None) -> int | None:
        if value is not None and not 1 <= value <= LARGEST:
            raise ValueError(f"images have sides of 1 to {LARGEST} pixels, not {value}")
        return value

    @model_validator(mode="after")
    def _one_colour(self) -> Framing:
        if self.gray and self.rgb:
            raise ValueError("gray and rgb exclude each other")
        return self

    @property
    def is_plain(self) -> bool:
        """Whether nothing is asked for."""
        return not self.options

    @property
    def options(self) -> tuple[str, ...]:
        """As words of ``ddbench data prepare``: ``--resize 64``, ``--crop center``, ``--gray``."""
        found = [] if self.resize is None else [f"--resize {self.resize}"]
        found += [] if self.crop is None else [f"--crop {self.crop}"]
        return (*found, *(f"--{name}" for name in ("gray", "rgb") if getattr(self, name)))

    @property
    def text(self) -> str:
        """For messages: ``--resize 64 --crop center``, or ``no --resize``."""
        return " ".join(self.options) or "no --resize"

    def channels(self, grey: bool) -> int:
        """Channels of the result: 1 or 3.

        Args:
            grey: Whether all images are.
        """
        return 1 if self.gray or (grey and not self.rgb) else 3

    def side(self, width: int, height: int) -> int | str:
        """Side of what becomes of an image [pixels]; in words, why nothing can.

        Args:
            width: Of the image [pixels].
            height: Likewise.
        """
        if width != height and self.crop is None:
            sized = "" if self.resize else "--resize 64 with "
            return (
                f"is {width}×{height} pixels; images must be squares of one size: {sized}--crop center keeps the square"
                " in their middle, --crop pad adds black margins"
            )
        side = self.resize or (min(width, height) if self.crop == "center" else max(width, height))
        if side > LARGEST:
            return f"is {width}×{height} pixels; sides of at most {LARGEST} are taken: add --resize {LARGEST} or less"
        return side


PLAIN = Framing()
