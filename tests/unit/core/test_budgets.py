"""Budgets: how many images each class gives, where classes have as many as asked for and where they have not."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from pydantic import ValidationError

from ddbench.core.errors import UsageError
from ddbench.core.specs import Budget, ipc_of, largest_ipc

COUNTS = [
    (7,), (1, 1), (5, 9), (9, 5, 3), (40, 40, 40, 30, 12, 5), (0, 4, 0, 9, 2), (100,) * 10,
    *(tuple(random.Random(seed).choices(range(30), k=1 + seed % 7)) for seed in range(40)),
]  # fmt: skip
COUNTS = [counts for counts in COUNTS if any(counts)]


def fits(ipc, counts):
    """At least half of the classes that have an image have ``ipc``, counted one by one."""
    have = [n for n in counts if n > 0]
    return Fraction(sum(n >= ipc for n in have), len(have)) >= Fraction(1, 2)


@pytest.mark.parametrize("counts", COUNTS, ids=str)
def test_where_half_of_the_classes_have_enough_the_others_give_all_they_have(counts):
    for ipc in range(1, max(counts) + 3):
        budget = Budget(ipc=ipc)
        if fits(ipc, counts):
            assert budget.misfit(counts) is None
            assert budget.resolve(counts) == tuple(ipc if n >= ipc else n for n in counts)
        else:
            assert budget.misfit(counts) is not None


@pytest.mark.parametrize("counts", COUNTS, ids=str)
def test_a_budget_that_does_not_fit_names_the_largest_that_does(counts):
    largest = max(ipc for ipc in range(1, max(counts) + 1) if fits(ipc, counts))
    assert largest_ipc(counts) == largest
    assert Budget(ipc=largest).misfit(counts) is None
    assert Budget(ipc=largest + 1).misfit(counts) == (
        f"ipc is at most {largest} here: at least half of the classes must have so many training images"
    )


@pytest.mark.parametrize("counts", COUNTS, ids=str)
def test_fractions_always_fit_and_give_every_class_its_share(counts):
    for fraction in (0.01, 0.1, 0.5, 1.0):
        budget = Budget(fraction=fraction)
        assert budget.misfit(counts) is None
        assert budget.resolve(counts) == tuple(max(1, round(fraction * n)) if n else 0 for n in counts)


@pytest.mark.parametrize("counts", COUNTS, ids=str)
def test_the_number_of_classes_in_a_share_of_all_data_decides_nothing(counts):
    """Copies of all classes, or empty ones beside them, change neither what fits nor what a class gives."""
    for ipc in range(1, max(counts) + 3):
        budget = Budget(ipc=ipc)
        assert budget.misfit(counts * 3) == budget.misfit((0, *counts, 0)) == budget.misfit(counts)
        assert budget.resolve(counts * 2) == budget.resolve(counts) * 2
        assert budget.resolve((0, *counts)) == (0, *budget.resolve(counts))


@pytest.mark.parametrize("wrong", [{"ipc": 0}, {"ipc": -1}, {"fraction": 0}, {"fraction": 1.1}, {}])
def test_what_is_no_size_is_no_budget(wrong):
    with pytest.raises(ValidationError):
        Budget.model_validate(wrong)


def test_a_method_that_wants_one_ipc_learns_that_there_is_none():
    with pytest.raises(UsageError, match="no single ipc: classes get between 5 and 30 images"):
        ipc_of(Budget(ipc=30).resolve((40, 40, 12, 5)))
