"""The guarded loader: one broken plugin never breaks the tool, and nothing of it is registered."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tomllib
import warnings
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from ddbench.core.errors import PluginError, UsageError
from ddbench.core.infos import IMPORTED
from ddbench.core.plugin.limited import PluginWarning
from ddbench.core.plugin.loader import GROUP, import_target, installed, load, params_class
from ddbench.core.plugin.registry import FIRST_PARTY

pytest_plugins = ["ddbench.testing.fixtures"]

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENTRIES = set(PROJECT["entry-points"][GROUP])
PROTOCOLS = {"krr"}
"""Entry points that register no method."""
OURS = ENTRIES - PROTOCOLS

GOOD = """
from ddbench import MethodInfo, hookimpl

@hookimpl
def ddbench_register_methods(registry):
    registry.add(MethodInfo(name="NAME", kind="selection", target="a:B", params="ddbench:Params", summary="…"))
"""


def good(name: str) -> str:
    return GOOD.replace("NAME", name)


BROKEN = {
    "raises": ("raise RuntimeError('boom')", "RuntimeError: boom"),
    "missing import": ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
    "syntax error": ("def (", "SyntaxError"),
    "sys.exit": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "bare BaseException": ("raise BaseException", "BaseException"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "its code raised KeyboardInterrupt while loading"),
    "os._exit": ("import os; os._exit(0)", "its code called os._exit(0) while loading"),
    "os._exit in a hook": (good("peek") + "    import os; os._exit(3)", "its code called os._exit(3) while loading"),
    "mistyped hook": (good("peek").replace("register_methods", "register_method"), "did you mean ddbench_register_methods?"),
    "hook of another tool": (good("peek").replace("ddbench_register_methods", "pytest_configure"), "unknown hook 'pytest_configure'; known: ddbench_register_methods"),
    "wrong argument": (good("peek").replace("methods(registry)", "methods(registrar)"), "registrar"),
    "taken name": (good("dm"), "method 'dm' is already registered by ddbench"),
    "registers nothing": ("", "registers nothing"),
    "no hookimpl": (good("peek").replace("@hookimpl", ""), "registers nothing"),
    "wrong type": (good("peek").replace('MethodInfo(name="peek", ', 'dict(name="peek", '), "expects MethodInfo, got dict"),
    "malformed record": (good("Peek"), "must match"),
    "raises in a hook": (good("peek") + "    raise ValueError('late')", "ValueError: late"),
    "exits in a hook": (good("peek") + "    raise SystemExit", "SystemExit"),
    "second hook breaks": (good("peek") + """
@hookimpl
def ddbench_register_datasets(registry):
    registry.add(None)
""", "expects DatasetRecord, got NoneType"),
}  # fmt: skip


def names(registries) -> set[str]:
    """Methods of plugins; ddbench's own one, sets made elsewhere, comes from none."""
    return {info.name for info in registries.methods} - {IMPORTED}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_third_party_plugin_leaves_the_rest_usable(case, fake_distribution):
    source, message = BROKEN[case]
    fake_distribution("ddbench-broken", source, version="0.3")
    fake_distribution("ddbench-sound", good("sound"))
    with pytest.warns(PluginWarning) as caught:
        registries = load()
    assert names(registries) == OURS | {"sound"}
    report = next(report for report in registries.reports if report.error)
    assert (report.name, report.origin.distribution, report.origin.version) == (
        "ddbench-broken",
        "ddbench-broken",
        "0.3",
    )
    assert message in report.error
    assert report.registered == ()
    (warning,) = [str(item.message) for item in caught]
    assert "\n" not in warning
    assert warning.startswith("plugin 'ddbench-broken' (ddbench-broken 0.3) failed to load: ")
    assert warning.endswith("run `ddbench plugin doctor`")


def test_keyboard_interrupt_of_a_plugin_is_its_failure(fake_distribution):
    fake_distribution("ddbench-broken", "raise KeyboardInterrupt")
    with pytest.warns(PluginWarning, match="its code raised KeyboardInterrupt while loading"):
        load()


def test_keyboard_interrupt_of_the_user_is_not_swallowed(fake_distribution, interrupts):
    by_another_process = "import os, subprocess; subprocess.run(['kill', '-INT', str(os.getpid())])"
    fake_distribution("ddbench-slow", by_another_process + "; import time; time.sleep(5)")
    with pytest.raises(KeyboardInterrupt):
        load()


def test_strict_mode_makes_the_first_failure_fatal(fake_distribution, monkeypatch):
    fake_distribution("ddbench-broken", "raise RuntimeError('boom')")
    monkeypatch.setenv("DDBENCH_PLUGINS_STRICT", "1")
    with pytest.raises(PluginError, match=r"plugin 'ddbench-broken' .*boom"):
        load()


def test_first_party_loads_first_then_by_distribution_name(fake_distribution):
    for name in ("zz-last", "aa-first"):
        fake_distribution(name, good(name.replace("-", "_")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = [report.origin.distribution for report in load().reports]
    assert loaded == [FIRST_PARTY] * len(ENTRIES) + ["aa-first", "zz-last"]


def test_of_two_distributions_the_first_by_name_keeps_a_contested_name(fake_distribution):
    fake_distribution("b-second", good("peek"))
    fake_distribution("a-first", good("peek"))
    with pytest.warns(match=r"b-second 1.0.*already registered by a-first"):
        registries = load()
    assert registries.methods.origin("peek").distribution == "a-first"


def test_the_origin_of_an_installed_method_is_its_distribution(fake_distribution):
    fake_distribution("ddbench-peek", good("peek"), version="0.3")
    origin = load().methods.origin("peek")
    assert (origin.key, origin.version) == ("ddbench-peek", "0.3")


def test_a_broken_plugin_leaves_the_command_line_usable(fake_distribution):
    fake_distribution("ddbench-broken", "import sys; sys.exit(3)")
    command = [sys.executable, "-c", "from ddbench.cli import main; main()", "list", "methods"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0
    assert run.stderr.count("\n") == 1
    assert "ddbench: warning: plugin 'ddbench-broken' (ddbench-broken 1.0) failed to load" in run.stderr
    assert "herding" in run.stdout


# ------------------------------------------------------------------------------------------------- one-file plugins


def one_file(folder: Path, source: str, name: str = "peek_one.py") -> Path:
    path = folder / name
    path.write_text(source)
    return path


def test_a_one_file_plugin_is_known_by_its_content(tmp_path):
    path = one_file(tmp_path, good("peek"))
    origin = load([path]).methods.origin("peek")
    assert origin.key == hashlib.sha256(path.read_bytes()).hexdigest()
    assert origin.distribution == str(path)


def test_targets_name_the_stem_of_the_file(tmp_path):
    source = good("peek").replace("a:B", "peek_one:Peek") + "\nclass Peek: pass\n"
    info = load([one_file(tmp_path, source)]).methods.get("peek")
    assert import_target(info.target).__name__ == "Peek"


def test_a_changed_file_is_loaded_anew(tmp_path):
    load([one_file(tmp_path, good("first"))])
    assert "second" in names(load([one_file(tmp_path, good("second"))]))


@pytest.mark.parametrize("case", BROKEN)
def test_a_one_file_plugin_is_strict(case, tmp_path):
    source, message = BROKEN[case]
    with pytest.raises(PluginError) as raised:
        load([one_file(tmp_path, source)])
    assert message in str(raised.value)
    assert "peek_one.py" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert names(installed()) == OURS


@pytest.mark.parametrize("stem", ["random", "json", "torch", "ddbench", "sys"])
def test_a_file_cannot_take_the_name_of_a_module(stem, tmp_path):
    with pytest.raises(PluginError, match=f"rename the file, a module '{stem}' exists already"):
        load([one_file(tmp_path, good("peek"), f"{stem}.py")])


def test_a_file_name_must_be_a_module_name(tmp_path):
    with pytest.raises(PluginError, match="'my-plugin' is not a module name"):
        load([one_file(tmp_path, good("peek"), "my-plugin.py")])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_file_can_import_another_one_whatever_their_order(order, tmp_path):
    (tmp_path / "far").mkdir()
    imports = one_file(tmp_path, "import peek_two\n" + good("first").replace("a:B", "peek_one:peek_two"))
    paths = [imports, one_file(tmp_path / "far", good("second"), "peek_two.py")]
    registries = load([paths[i] for i in order])
    assert {"first", "second"} <= names(registries)
    assert import_target(registries.methods.get("first").target) is sys.modules["peek_two"]


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        load([tmp_path / "gone.py"])


# ------------------------------------------------------------------------------------------------------ first party


def test_every_first_party_folder_is_declared_and_installed():
    folders = {path.parent.name for path in (ROOT / "plugins" / "ddbench_plugins").glob("*/__init__.py")}
    wanted = {f"ddbench_plugins.{folder}" for folder in folders}
    assert set(PROJECT["entry-points"][GROUP].values()) == wanted
    found = {entry.value for entry in entry_points(group=GROUP) if entry.dist and entry.dist.name == FIRST_PARTY}
    assert found == wanted, "run `pip install -e .`"


def test_every_entry_point_is_called_as_the_method_it_registers():
    for report in load().reports:
        if report.name in PROTOCOLS:
            assert all(name.startswith(f"protocol {report.name}-") for name in report.registered) and report.registered
        else:
            assert report.registered == (f"method {report.name}",)


def test_ddbenchs_own_members_come_through_the_same_hooks():
    registries = installed()
    for name, registry in registries.by_hook().items():
        assert len(registry) > 0, name
        assert {registry.origin(member.name).key for member in registry} == {FIRST_PARTY}


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("ddbench_plugins.dm.method:Gone", "has no 'Gone'"),
        ("ddbench_plugins.gone:A", "cannot import .*ModuleNotFoundError"),
    ],
)
def test_a_target_that_does_not_exist_is_named(target, message):
    with pytest.raises(PluginError, match=message):
        import_target(target)


@pytest.mark.parametrize("name", sorted(OURS))
def test_params_of_first_party_methods_can_be_imported(name):
    assert params_class(installed().methods.get(name)).__name__.endswith("Params")


@pytest.mark.parametrize("name", ["ddbench_no_such_module", "json.no_such_part", "this_too"])
def test_a_module_that_must_not_be_imported_is_told(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(PluginError, match=f"cannot import '{name}:Thing'"):
        import_target(f"{name}:Thing")
