"""Claims: one live holder; a dead one is replaced; nobody's clock is compared."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading

import pytest

from ddbench.core.errors import StoreError
from ddbench.core.store import claims
from ddbench.core.store.claims import Claim, Watch, acquire, held_here, holder_is_gone, holder_of
from ddbench.core.store.folder import Store


def rewrite(path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_held_claim_is_refused_and_a_released_one_is_free(tmp_path):
    with acquire(tmp_path, "k", Watch()):
        assert acquire(tmp_path, "k", Watch()) is None
    assert list(tmp_path.iterdir()) == []
    assert acquire(tmp_path, "k", Watch()) is not None


def test_of_many_rivals_exactly_one_wins(tmp_path):
    start, won = threading.Barrier(8), []

    def rival():
        start.wait()
        won.append(acquire(tmp_path, "k", Watch()))

    threads = [threading.Thread(target=rival) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sum(claim is not None for claim in won) == 1


def test_a_claim_of_a_dead_process_is_taken_over_at_once(tmp_path):
    code = f"from pathlib import Path; from ddbench.core.store.claims import *; acquire(Path({str(tmp_path)!r}), 'k', Watch())"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["k.0"]
    claim = acquire(tmp_path, "k", Watch())
    assert claim is not None
    assert claim.path.name == "k.1"
    with claim:
        assert acquire(tmp_path, "k", Watch()) is None
    assert list(tmp_path.iterdir()) == []


def test_nodes_that_live_processes_of_this_machine_work_on_are_counted(tmp_path):
    assert held_here(tmp_path / "nowhere") == set()
    with acquire(tmp_path, "a", Watch()), acquire(tmp_path, "b", Watch()):
        assert held_here(tmp_path) == {"a", "b"}
        rewrite(tmp_path / "b.0", host="elsewhere")
        assert held_here(tmp_path) == {"a"}, "another machine uses no core of this one"
        rewrite(tmp_path / "a.0", started=1)
        assert held_here(tmp_path) == set(), "its process is gone"
    assert held_here(tmp_path) == set()


def test_a_node_is_not_beside_itself(tmp_path, fresh_home):
    store, key = Store(tmp_path / "runs"), "0" * 64
    assert store.working_beside(key) == 0
    shared = acquire(store.claims(shared=True), "1" * 16, Watch())
    with acquire(store.claims(shared=False), key[:16], Watch()), shared:
        assert store.working_beside(key) == 1
    assert store.working_beside(key) == 0


def test_a_recycled_pid_does_not_keep_a_claim_alive(tmp_path):
    acquire(tmp_path, "k", Watch())
    rewrite(tmp_path / "k.0", pid=os.getpid(), started=1)
    assert acquire(tmp_path, "k", Watch()) is not None


def test_a_holder_whose_system_shows_no_processes_is_judged_by_its_counter(tmp_path):
    clock = [0.0]
    watch = Watch(now=lambda: clock[0])
    acquire(tmp_path, "k", Watch())
    rewrite(tmp_path / "k.0", started=None, pid=2**30, within_s=0)
    assert acquire(tmp_path, "k", watch) is None
    clock[0] = claims.STALE_AFTER_S
    assert acquire(tmp_path, "k", watch) is not None


def test_a_claim_from_another_machine_is_stale_when_its_counter_stands_still(tmp_path):
    acquire(tmp_path, "k", Watch())
    rewrite(tmp_path / "k.0", host="elsewhere", boot="other", within_s=None)
    seconds = [0.0]
    watch = Watch(now=lambda: seconds[0])
    assert acquire(tmp_path, "k", watch) is None
    seconds[0] = claims.STALE_AFTER_S - 1
    assert acquire(tmp_path, "k", watch) is None
    seconds[0] = claims.STALE_AFTER_S
    assert acquire(tmp_path, "k", watch) is not None


def test_a_moving_counter_keeps_a_foreign_claim_alive(tmp_path):
    acquire(tmp_path, "k", Watch())
    seconds = [0.0]
    watch = Watch(now=lambda: seconds[0])
    for beat in range(5):
        rewrite(tmp_path / "k.0", host="elsewhere", boot="other", counter=beat, within_s=None)
        assert acquire(tmp_path, "k", watch) is None
        seconds[0] += claims.STALE_AFTER_S - 1


def test_an_unreadable_claim_is_stale_when_it_stays_so(tmp_path):
    (tmp_path / "k.0").write_bytes(b"")
    seconds = [0.0]
    watch = Watch(now=lambda: seconds[0])
    assert acquire(tmp_path, "k", watch) is None
    seconds[0] = claims.STALE_AFTER_S
    assert acquire(tmp_path, "k", watch) is not None


class Clock:
    """A clock that a test sets, a claim under it, and what another process makes of it."""

    def __init__(self, folder):
        self.now, self.folder = 0.0, folder
        acquire(folder, "k", Watch())
        self.claim = Claim(folder / "k.0", lambda: self.now)
        self.watch = Watch(now=lambda: self.now)

    def after(self, seconds, *, last=None):
        """Let time pass; then the work reports a step, where ``last`` says whether it is the last one."""
        self.now += seconds
        if last is not None:
            self.claim.beat(last=last)
        return self

    @property
    def stale(self):
        return self.watch.stale(self.folder / "k.0")


@pytest.mark.parametrize("step", [0.1, 11.0, 100.0])
def test_a_holder_on_this_machine_that_reports_no_step_loses_its_claim(tmp_path, step):
    clock = Clock(tmp_path)
    for _ in range(4):
        assert not clock.after(step, last=False).stale
    within = max(claims.STALE_AFTER_S, claims.PATIENCE * step)
    assert not clock.after(within - step - claims.BEAT_S).stale
    assert clock.after(2 * step + 2 * claims.BEAT_S).stale, "its process lives, and it hangs"


def test_a_call_that_reports_no_steps_has_the_time_that_its_holder_declared(tmp_path):
    clock = Clock(tmp_path)
    assert not clock.stale
    assert not clock.after(claims.LONG_S - 1).stale, "before the first step"
    assert not clock.after(0.5, last=False).stale
    assert not clock.after(60, last=True).stale
    assert not clock.after(claims.LONG_S - 1).stale, "after the last one"
    assert clock.after(1).stale


def test_a_counter_moves_by_reports_alone(tmp_path):
    clock, threads = Clock(tmp_path), set(threading.enumerate())
    with clock.claim:
        before = (tmp_path / "k.0").read_bytes()
        assert set(threading.enumerate()) <= threads, "no thread of its own"
        clock.after(1000)
        assert (tmp_path / "k.0").read_bytes() == before
        clock.after(0, last=False)
        assert (tmp_path / "k.0").read_bytes() != before


def test_a_number_of_another_container_is_no_process_here(tmp_path):
    acquire(tmp_path, "k", Watch())
    rewrite(tmp_path / "k.0", pid_namespace="pid:[1]", pid=2**30)
    assert not holder_is_gone(tmp_path / "k.0")
    assert held_here(tmp_path) == set()
    assert acquire(tmp_path, "k", Watch()) is None, "judged by its counter"


def test_the_holder_is_named(tmp_path):
    assert holder_of(tmp_path, "k") is None
    with acquire(tmp_path, "k", Watch()):
        assert holder_of(tmp_path, "k") == f"process {os.getpid()} on {socket.gethostname()}"


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="choose another folder"):
        acquire(tmp_path / "file" / "claims", "k", Watch())
