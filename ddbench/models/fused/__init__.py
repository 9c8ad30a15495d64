"""Norm, ReLU and pooling of a ConvNet's block as one pass over memory, on CPUs with a C compiler."""

from __future__ import annotations
