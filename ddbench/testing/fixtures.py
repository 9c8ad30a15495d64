"""Fixtures for plugin authors; opt in with ``pytest_plugins = ["ddbench.testing.fixtures"]`` in a conftest."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ddbench.core.api import Limits
from ddbench.core.plugin.loader import installed
from ddbench.core.profiles import profile
from ddbench.core.specs import Budget, CellSpec, DataSpec
from ddbench.data.prepared.prepare import resolve
from ddbench.data.prepared.sources import parse_source
from ddbench.data.prepared.views import canonical_view
from ddbench.plan.presets import presets
from ddbench.work.context import Context, open_context
from ddbench.work.monitor import Silent


@pytest.fixture
def ddbench_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty ``$DDBENCH_HOME``: no artifact or data of the user's is read or written."""
    home = tmp_path / "ddbench-home"
    monkeypatch.setenv("DDBENCH_HOME", str(home))
    return home


OpenDigits = Callable[..., Context]


@pytest.fixture
def tiny_digits() -> OpenDigits:
    """A function that opens a real RunContext on 100 images of digits; e.g. ``tiny_digits(ipc=2, r=1)``.

    Keyword arguments: ``ipc`` (1), ``r`` (0), ``arch`` (``convnet2-w8-in``), ``size`` (100 training images), ``owner``
    (whose private seeds; "test") and ``folders`` (artifact name → folder).
    """
    return open_digits


def open_digits(
    *,
    ipc: int = 1,
    r: int = 0,
    arch: str = "convnet2-w8-in",
    size: int = 100,
    owner: str = "test",
    folders: Mapping[str, Path] | None = None,
) -> Context:
    """See :func:`tiny_digits`."""
    registries = installed()
    revision = resolve(parse_source("digits", registries.datasets)).revision
    data = DataSpec(name="digits", revision=revision, view=canonical_view({"train_size": size}))
    budget = Budget(ipc=ipc)
    return open_context(
        CellSpec(
            method=owner, method_version=1, origin="", params={}, data=data, budget=budget, arch=arch, master=0, r=r
        ),
        owner=owner,
        folders=folders or {},
        registries=registries,
        profile=profile("smoke"),
        device="cpu",
        limits=Limits(),
        monitor=Silent(),
        key="",
    )


@dataclass
class FakeDistributions:
    """Makes installed distributions; call it with a name and the source of its plugin module.

    Attributes:
        site: The folder that plays site-packages; it is on ``sys.path`` and ``PYTHONPATH``.
        modules: Modules made so far.
    """

    site: Path
    modules: list[str] = field(default_factory=list)

    def __call__(
        self,
        name: str,
        source: str | Mapping[str, str],
        *,
        entry: str | None = None,
        version: str = "1.0",
        module: str | None = None,
    ) -> Path:
        """Install a distribution.

        Args:
            name: Distribution name, e.g. ``ddbench-peek``.
            source: Text of its module, or of a package's files by path (``__init__.py``, ``params.py``, …).
            entry: Name of its entry point; the distribution's name by default.
            version: Its version.
            module: Name of its module; by default the distribution's name with ``_`` for ``-``.

        Returns:
            The module's file or folder.
        """
        module = module or name.replace("-", "_")
        files = {f"{module}.py": source} if isinstance(source, str) else {f"{module}/{p}": t for p, t in source.items()}
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        files[f"{info}/entry_points.txt"] = f"[ddbench]\n{entry or name} = {module}\n"
        for path, text in files.items():
            target = self.site / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        self.modules.append(module)
        self.refresh()
        return self.site / (f"{module}.py" if isinstance(source, str) else module)

    def uninstall(self, name: str) -> None:
        """Remove a distribution's metadata, and all modules from this process: what is installed is loaded anew."""
        for info in self.site.glob(f"{name.replace('-', '_')}-*.dist-info"):
            shutil.rmtree(info)
        self.forget()

    def refresh(self) -> None:
        """Make this process notice what is installed now."""
        importlib.invalidate_caches()
        installed.cache_clear()
        presets.cache_clear()

    def forget(self) -> None:
        """Remove the modules from this process."""
        for name in list(sys.modules):
            if name.partition(".")[0] in self.modules:
                del sys.modules[name]
        self.refresh()


@pytest.fixture
def fake_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDistributions]:
    """Installs distributions with a ``ddbench`` entry point for one test, for this process and for its children.

    ``fake_distribution("ddbench-peek", source)`` writes the module ``ddbench_peek`` and its metadata.
    """
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")])))
    fake = FakeDistributions(site)
    yield fake
    monkeypatch.undo()
    fake.forget()
