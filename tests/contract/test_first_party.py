"""The contract, for every method that comes with ddbench."""

from __future__ import annotations

import pytest

from ddbench.core.errors import UsageError
from ddbench.core.infos import IMPORTED
from ddbench.core.plugin.loader import installed
from ddbench.core.plugin.registry import FIRST_PARTY
from ddbench.plan import planner
from ddbench.testing import MethodContract
from ddbench.testing.budget_checks import SHORT_IPC, SHORT_SIZE
from ddbench.testing.subject import Bench, Subject


class TestDM(MethodContract):
    name = "dm"
    fast = {"iterations": 3, "batch_real": 4}


class TestDC(MethodContract):
    name = "dc"
    fast = {"iterations": 2, "outer_steps": 2, "batch_real": 4}


class TestDSA(MethodContract):
    name = "dsa"
    fast = {"iterations": 2, "outer_steps": 2, "batch_real": 4}


class TestIDC(MethodContract):
    name = "idc"
    fast = {"iterations": 2, "outer_steps": 2, "batch_real": 4, "batch_net": 64, "net_images": 64}


class TestIDM(MethodContract):
    name = "idm"
    fast = {"iterations": 3, "batch_real": 4, "networks": 4, "push_every": 2, "net_steps": 1, "batch_net": 32}


class TestDANCE(MethodContract):
    name = "dance"
    fast = {"iterations": 3, "batch_real": 4, "pairs": 2, "pair_epochs": 1}


class TestNCFM(MethodContract):
    name = "ncfm"
    fast = {"iterations": 3, "batch_real": 4, "frequencies": 8, "pairs": 2, "pair_epochs": 1, "student_passes": 2}


class TestDMLatent(MethodContract):
    name = "dm_latent"
    fast = {"iterations": 3, "batch_real": 4, "generator_epochs": 1}


class TestFRePo(MethodContract):
    name = "frepo"
    fast = {"iterations": 4, "batch_real": 64, "pool": 2, "max_age": 2}


class TestFRePoFresh(MethodContract):
    name = "frepo_fresh"
    fast = {"iterations": 3, "batch_real": 64}


class TestLD(MethodContract):
    name = "ld"
    fast = {"iterations": 5, "batch_real": 64, "patience": 2}


class TestLDByRidge(MethodContract):
    name = "ld"
    fast = {"iterations": 5, "batch_real": 64, "patience": 2, "variant": "ridge"}


class TestKIP(MethodContract):
    name = "kip"
    fast = {"iterations": 3, "batch_real": 4}


class TestKIPLearningLabels(MethodContract):
    name = "kip"
    fast = {"iterations": 3, "batch_real": 4, "learn_labels": True}


class TestLabelSolve(MethodContract):
    name = "label_solve"


class TestEL2N(MethodContract):
    name = "el2n"
    fast = {"epochs": 1, "nets": 2}


class TestAUM(MethodContract):
    name = "aum"
    fast = {"epochs": 1}


class TestCCS(MethodContract):
    name = "ccs"
    fast = {"epochs": 1}


class TestRandom(MethodContract):
    name = "random"


class TestFull(MethodContract):
    name = "full"


class TestHerding(MethodContract):
    name = "herding"
    fast = {"epochs": 1}


class TestKCenter(MethodContract):
    name = "kcenter"
    fast = {"epochs": 1}


class TestKMeans(MethodContract):
    name = "kmeans"
    fast = {"epochs": 1, "n_init": 1}


class TestGraphCut(MethodContract):
    name = "graphcut"
    fast = {"epochs": 1}


class TestFacilityLocation(MethodContract):
    name = "facility_location"
    fast = {"epochs": 1}


class TestCRAIG(MethodContract):
    name = "craig"
    fast = {"epochs": 1}


class TestGradMatch(MethodContract):
    name = "gradmatch"
    fast = {"epochs": 1}


class TestGradMatchOfAllClasses(MethodContract):
    name = "gradmatch"
    fast = {"epochs": 1, "balance": "global"}


class TestGLISTER(MethodContract):
    name = "glister"
    fast = {"epochs": 1}


POOL = {"experts": 2, "expert_epochs": 3, "expert_batch": 256, "expert_optimiser": "sgd"}
TRAJECTORY = {**POOL, "iterations": 3, "max_start": 2, "match_snapshots": 1, "syn_steps": 2, "lr_img": 1.0}


class TestMTT(MethodContract):
    name = "mtt"
    fast = TRAJECTORY


class TestTESLA(MethodContract):
    name = "tesla"
    fast = TRAJECTORY


class TestFTD(MethodContract):
    name = "ftd"
    fast = {**TRAJECTORY, "expert_optimiser": "gsam", "ema": 0.5}


class TestDATM(MethodContract):
    name = "datm"
    fast = {**TRAJECTORY, "first_max_start": 1, "growth_steps": 2}


class TestRandomBestOfK(MethodContract):
    name = "random_best_of_k"


class TestRandomSoft(MethodContract):
    name = "random_soft"
    fast = {**POOL, "snapshots": 2}


class TestForgetting(MethodContract):
    name = "forgetting"
    fast = {"epochs": 1}


class TestLeastConfidence(MethodContract):
    name = "least_confidence"
    fast = {"epochs": 1}


class TestMargin(MethodContract):
    name = "margin"
    fast = {"epochs": 1}


class TestEntropy(MethodContract):
    name = "entropy"
    fast = {"epochs": 1}


class TestD2(MethodContract):
    name = "d2"
    fast = {"epochs": 1}


class TestModerate(MethodContract):
    name = "moderate"
    fast = {"epochs": 1}


class TestGraNd(MethodContract):
    name = "grand"
    fast = {"epochs": 1, "nets": 2}


class TestTDDS(MethodContract):
    name = "tdds"
    fast = {"epochs": 3, "trajectory": 3, "window": 3}


class TestDeepFool(MethodContract):
    name = "deepfool"
    fast = {"epochs": 1, "iterations": 3}


class TestDD(MethodContract):
    name = "dd"
    fast = {"iterations": 3, "epochs": 2, "batch_real": 64}


class TestDDFromOneNetwork(MethodContract):
    name = "dd"
    fast = {"iterations": 3, "epochs": 1, "batch_real": 64, "fixed_init": True}


class TestBPTT(MethodContract):
    name = "bptt"
    fast = {"iterations": 3, "inner_steps": 3, "batch_real": 8}


class TestRaTBPTT(MethodContract):
    name = "rat_bptt"
    fast = {"iterations": 3, "total": 5, "window": 2, "batch_real": 64}


class TestRaTBPTTWithLabels(MethodContract):
    name = "rat_bptt"
    fast = {"iterations": 3, "total": 4, "window": 2, "batch_real": 64, "learn_labels": True}


@pytest.mark.parametrize("cls", MethodContract.__subclasses__(), ids=lambda cls: cls.name)
def test_of_ours_only_canvases_of_several_real_images_refuse_classes_that_are_short(cls, tmp_path):
    bench = Bench(Subject.find(cls.name, cls.fast), tmp_path)
    short = bench.grid(ipc=SHORT_IPC, size=SHORT_SIZE)
    assert sorted(short.data[0].info.counts) == [2] * 3 + [3] * 7
    if cls.name in ("idc", "idm", "dance", "ncfm"):
        with pytest.raises(UsageError, match="class 0 has 2 training images, and 4 are needed for each one"):
            planner.make(short)
    else:
        assert all(entry.skip is None for entry in planner.make(short).entries)


def test_every_first_party_method_has_a_contract_test():
    methods = installed().methods
    ours = {info.name for info in methods if methods.origin(info.name).key == FIRST_PARTY}
    ours -= {IMPORTED}  # reads files of users instead of making a set: see test_exchange.py
    assert {cls.name for cls in MethodContract.__subclasses__() if cls.__module__ == __name__} == ours
