"""Whether memory suffices for a node beside others, in plain numbers."""

from __future__ import annotations

import pytest

from ddbench.core import memory
from ddbench.core.memory import available_mb, in_words, total_mb
from ddbench.work.executors.memory import fits


@pytest.mark.parametrize(
    ("need", "beside", "idle", "now", "answer"),
    [
        (400.0, [500.0], 1000.0, 1000.0, True),  # what runs has taken nothing yet
        (401.0, [500.0], 1000.0, 1000.0, False),
        (400.0, [500.0], 1000.0, 500.0, True),  # it has taken all that it needs
        (400.0, [500.0], 1000.0, 450.0, False),  # and somebody else has taken some
        (300.0, [300.0, 300.0], 1000.0, None, True),
        (301.0, [300.0, 300.0], 1000.0, None, False),
        (5000.0, [], 1000.0, 10.0, True),  # alone
        (5000.0, [1.0], None, None, True),  # nobody knows
        (0.0, [0.0], 1000.0, 1000.0, True),
    ],
)
def test_forecasts_fill_at_most_nine_tenths_of_what_is_free(need, beside, idle, now, answer):
    assert fits(need, beside, idle=idle, now=now) == answer


def test_free_memory_is_what_the_system_says_if_it_does(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CGROUP", tmp_path / "cgroup")
    assert available_mb() is None and total_mb() is None
    (tmp_path / "meminfo").write_text("MemTotal: 8192000 kB\nMemFree:  1024 kB\nMemAvailable:    2048 kB\n")
    assert available_mb() == 2.0 and total_mb() == 8000.0
    (tmp_path / "meminfo").write_text("MemTotal: 8192000 kB\nMemFree:  1024 kB\n")
    assert available_mb() is None


@pytest.mark.parametrize("files", memory.GROUPS)
def test_a_container_has_what_its_limit_leaves(tmp_path, monkeypatch, files):
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal: 9216 kB\nMemAvailable:    8192 kB\n")
    limit, use = (tmp_path / name for name in files)
    limit.parent.mkdir(exist_ok=True)
    use.write_text(f"{3 * 2**20}\n")
    limit.write_text(f"{5 * 2**20}\n")
    assert available_mb() == 2.0 and total_mb() == 5.0
    limit.write_text("max\n")
    assert available_mb() == 8.0 and total_mb() == 9.0


@pytest.mark.parametrize(
    ("mb", "words"),
    [(0.4, "less than 1 MB"), (3.21, "3.2 MB"), (320.4, "320 MB"), (1536.0, "1.5 GB"), (181 * 1024.0, "181 GB")],
)
def test_memory_in_words(mb, words):
    assert in_words(mb) == words
