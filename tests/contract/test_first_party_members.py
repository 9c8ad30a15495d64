"""The contracts, for every data set, architecture, protocol and artifact kind that comes with ddbench."""

from __future__ import annotations

import zipfile

import pytest
import torch

from ddbench.core.plugin.loader import FIRST_PARTY, installed
from ddbench.data.exchange.params import KIND
from ddbench.data.prepared import decode, on_disk
from ddbench.testing import ArchitectureContract, ArtifactContract, DatasetContract, ProtocolContract
from ddbench.testing.protocol_checks import TESTED
from tests.fakes import FakeSplit
from tests.unit.data import data_files as files

MEMBERS = installed()


class TestDigits(DatasetContract):
    name = "digits"


class OfFiles(DatasetContract):
    """A data set whose files are made for the test, in the format that users have, and are not the official ones."""

    @pytest.fixture(autouse=True)
    def _anything_goes(self, monkeypatch):
        """What the files must hold is the matter of ``tests/unit/data/test_contents.py``."""
        monkeypatch.setattr(decode, "difference", lambda *args: None)
        monkeypatch.setattr(on_disk, "difference", lambda *args: None)

    @staticmethod
    def write(folder):
        raise NotImplementedError

    @classmethod
    def bench(cls, home):
        cls.files = home / f"files-{cls.name}"
        cls.files.mkdir(parents=True, exist_ok=True)
        cls.write(cls.files)
        return super().bench(home)


class TestMNIST(OfFiles):
    name = "mnist"
    write = staticmethod(files.write_mnist)


class TestFashionMNIST(OfFiles):
    name = "fashionmnist"
    write = staticmethod(files.write_mnist)


class TestSVHN(OfFiles):
    name = "svhn"

    @staticmethod
    def write(folder):
        from scipy.io import savemat

        for seed, (part, count) in enumerate({"train": 40, "test": 20}.items()):
            labels = files.cycle(count).astype("uint8")
            labels[labels == 0] = 10  # SVHN counts 1 … 10, and 10 is the digit 0
            images = files.pixels(32, 32, 3, count, seed=seed)
            savemat(folder / f"{part}_32x32.mat", {"X": images, "y": labels[:, None]})


class TestCIFAR10(OfFiles):
    name = "cifar10"

    @staticmethod
    def write(folder):
        files.write_tar(folder / "cifar-10-python.tar.gz", files.cifar10_members())


class TestCIFAR100(OfFiles):
    name = "cifar100"

    @staticmethod
    def write(folder):
        files.write_tar(folder / "cifar-100-python.tar.gz", files.cifar100_members())


class TestTinyImageNet(OfFiles):
    name = "tinyimagenet"

    @staticmethod
    def write(folder):
        with zipfile.ZipFile(folder / "tiny-imagenet-200.zip", "w") as archive:
            for name, content in files.tiny_members():
                archive.writestr(name, content)


for _family in MEMBERS.architectures:
    globals()[f"TestArchitecture_{_family.name}"] = type(
        f"TestArchitecture_{_family.name}", (ArchitectureContract,), {"name": _family.name, "__module__": __name__}
    )


class OfKernels(ProtocolContract):
    """A protocol that chooses its ridge on few images of val: kernels of networks that pool take milliseconds a pair."""

    @classmethod
    def bench(cls, home):
        made = super().bench(home)
        with made.home():
            train, val, *rest = made.data
            made.data = (train, FakeSplit(val.images(torch.arange(TESTED)), val.labels[:TESTED]), *rest)
        return made


ALIKE = "krr-convpool3"
"""Has the code of the other kernels' protocols and takes ten times as long: what solves is tried once, the rest is slow."""
SOLVING = [check for check in ProtocolContract.checks if check.__name__ in (
    "predictors_are_in_eval_mode", "students_are_deterministic", "seeds_matter_where_a_student_is_trained",
    "the_sets_labels_decide", "shared_state_is_untouched", "interruption_changes_nothing",
)]  # fmt: skip

for _protocol in MEMBERS.protocols:
    _base = ProtocolContract if _protocol.trains_student else OfKernels
    globals()[f"TestProtocol_{_protocol.name}"] = type(
        f"TestProtocol_{_protocol.name}", (_base,), {"name": _protocol.name, "__module__": __name__}
    )


globals()[f"TestProtocol_{ALIKE}"].checks = tuple(check for check in ProtocolContract.checks if check not in SOLVING)


@pytest.mark.slow
class TestSolvingAlike(OfKernels):
    name, checks = ALIKE, tuple(SOLVING)


class TestFeatures(ArtifactContract):
    name = "features"
    fast = {"epochs": 1}


class TestExperts(ArtifactContract):
    name = "experts"
    fast = {"experts": 2, "epochs": 2}


class TestPairs(ArtifactContract):
    name = "pairs"
    fast = {"pairs": 2, "epochs": 2}


class TestGenerator(ArtifactContract):
    name = "generator"
    fast = {"epochs": 3}


class TestDynamics(ArtifactContract):
    name = "dynamics"
    fast = {"epochs": 2}


class TestZCA(ArtifactContract):
    name = "zca"


@pytest.mark.parametrize(
    ("contract", "registry", "left_out"),
    [
        (DatasetContract, MEMBERS.datasets, set()),
        (ArtifactContract, MEMBERS.artifacts, {KIND}),  # is imported, never built: see test_exchange.py
    ],
)
def test_every_first_party_member_has_a_contract_test(contract, registry, left_out):
    ours = {info.name for info in registry if registry.origin(info.name).key == FIRST_PARTY} - left_out
    found = [cls for cls in [*contract.__subclasses__(), *OfFiles.__subclasses__()] if hasattr(cls, "name")]
    assert {cls.name for cls in found if cls.__module__ == __name__ and issubclass(cls, contract)} == ours
