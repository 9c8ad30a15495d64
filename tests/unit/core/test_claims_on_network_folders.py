"""Claims where listings are late, answers get lost and hard links do not exist: at most one process holds a node."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ddbench.core.store import claims
from ddbench.core.store.claims import LONG_S, SEEN_WITHIN_S, Watch, acquire, holders

KEY = "0123456789abcdef"


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Path]]:
    """Listings of claims show what was there when ``seen`` was filled, as a client of NFS may for a minute."""
    seen: dict[str, list[Path]] = {}
    true_glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(seen.get(pattern, true_glob(self, pattern))))
    return seen


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """Files that are there, and are said not to be: this machine remembers that there were none."""
    paths: set[Path] = set()
    exists, lexists = Path.exists, os.path.lexists
    monkeypatch.setattr(Path, "exists", lambda self: self not in paths and exists(self))
    monkeypatch.setattr(os.path, "lexists", lambda path: Path(path) not in paths and lexists(path))
    return paths


def test_a_claim_that_is_remembered_as_gone_is_respected_as_long_as_one_that_stands_still(
    tmp_path: Path, unseen: set[Path]
) -> None:
    held, clock = acquire(tmp_path, KEY, Watch()), [0.0]
    assert held is not None
    unseen.add(held.path)
    watch = Watch(now=lambda: clock[0])
    assert acquire(tmp_path, KEY, watch) is None
    clock[0] = LONG_S
    assert acquire(tmp_path, KEY, watch) is not None, "not for ever"


def test_a_result_that_cannot_be_seen_yet_is_there_for_ninety_seconds(tmp_path: Path, unseen: set[Path]) -> None:
    clock = [0.0]
    watch, path = Watch(now=lambda: clock[0]), tmp_path / "set/condense.json"
    assert not watch.hides(path), "nothing is listed"
    path.write_text("{}")
    assert not watch.hides(path), "it can be seen"
    unseen.add(path)
    assert watch.hides(path)
    clock[0] = SEEN_WITHIN_S - 1
    assert watch.hides(path)
    clock[0] = SEEN_WITHIN_S
    assert not watch.hides(path), "a disk that never shows it"


def test_a_claim_that_a_listing_does_not_show_yet_is_respected(tmp_path: Path, late: dict[str, list[Path]]) -> None:
    late[f"{KEY}.*"] = []
    assert acquire(tmp_path, KEY, Watch()) is not None
    assert acquire(tmp_path, KEY, Watch()) is None, "creating the file is what counts, not the listing"


def test_a_claim_that_a_listing_shows_still_does_not_block_for_ever(
    tmp_path: Path, late: dict[str, list[Path]]
) -> None:
    held = acquire(tmp_path, KEY, Watch())
    assert held is not None
    late[f"{KEY}.*"] = [held.path]
    held.__exit__()
    again = acquire(tmp_path, KEY, Watch())
    assert again is not None, "the listed file cannot be opened any more"
    assert acquire(tmp_path, KEY, Watch()) is None


@pytest.mark.parametrize("times", [1, 3])
def test_an_answer_that_was_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """The server made the link, and says on being asked again that it is there."""
    true_link = os.link

    def link(source: Path, target: Path) -> None:
        true_link(source, target)
        raise FileExistsError(errno.EEXIST, "exists", str(target))

    for n in range(times):
        monkeypatch.setattr(os, "link", link)
        claim = acquire(tmp_path, f"{n:016x}", Watch())
        assert claim is not None, "the claim is ours"
        monkeypatch.setattr(os, "link", true_link)
        assert acquire(tmp_path, f"{n:016x}", Watch()) is None


@pytest.mark.parametrize("number", claims.NO_LINKS)
def test_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def link(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    with acquire(tmp_path, KEY, Watch(), "slurm job 7_1"):
        assert acquire(tmp_path, KEY, Watch()) is None
        assert holders(tmp_path)[KEY].where == f"slurm job 7_1, process {os.getpid()} on {os.uname().nodename}"
    assert not [*tmp_path.iterdir()]


def test_other_errors_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(Exception, match="no space left"):
        acquire(tmp_path, KEY, Watch())


def test_holders_say_since_when_and_how_far(tmp_path: Path) -> None:
    clock = iter(range(0, 1000, 20))
    claim = acquire(tmp_path, KEY, Watch())
    assert claim is not None
    claim._now = lambda: float(next(clock))
    claim.beat(at=(3, 40, "steps"))
    claim.beat(at=(7, 40, "steps"))
    (found,) = holders(tmp_path).values()
    assert found.at == (7, 40, "steps")
    assert found.since is not None
    assert not found.gone
    assert found.silent_s < 60


def test_a_claim_for_a_place_that_cannot_hold_it_moves_with_the_work(tmp_path: Path) -> None:
    now = [0.0]
    with acquire(tmp_path, KEY, Watch()) or pytest.fail("nobody has it") as claim:
        claim._now = lambda: now[0]
        claim.move()
        assert holders(tmp_path)[KEY].waits
        watch, path = Watch(lambda: now[0]), claim.path
        path.write_text(path.read_text().replace(os.uname().nodename, "elsewhere"))
        assert not watch.stale(path)
        claim.move("ray task 7 on host-b")
        (found,) = holders(tmp_path).values()
        assert found.where == f"ray task 7 on host-b, for process {os.getpid()} on {os.uname().nodename}"
        assert not found.waits
        claim.beat(at=(1, 9, "steps"))
        now[0] += claims.BEAT_S
        claim.beat(at=(2, 9, "steps"))
        assert holders(tmp_path)[KEY].at == (2, 9, "steps")
        claim.move("ray task 7 on host-c")  # its first machine was lost: it begins anew, and tells no step for long
        assert holders(tmp_path)[KEY].at is None
        path.write_text(path.read_text().replace(os.uname().nodename, "elsewhere"))
        assert not watch.stale(path)
        now[0] += claims.STALE_AFTER_S + 1.0
        assert not watch.stale(path)
        now[0] += claims.LONG_S
        assert watch.stale(path)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(("place", "free"), [("slurm job 7_1", True), ("slurm job 7_10", False), ("", False)])
def test_a_place_that_is_known_to_be_gone_holds_nothing(tmp_path: Path, place: str, free: bool) -> None:
    """The claim is of another machine, where nobody here can look, and declared to need an hour."""
    claim = acquire(tmp_path, KEY, Watch(), "slurm job 7_1")
    assert claim is not None
    claim.path.write_text(claim.path.read_text().replace(os.uname().nodename, "elsewhere"))
    assert acquire(tmp_path, KEY, Watch()) is None
    claims.release(tmp_path, KEY, place)
    assert (acquire(tmp_path, KEY, Watch()) is not None) is free
