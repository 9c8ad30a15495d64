"""The fused operation of a ConvNet's block equals PyTorch's three, in values, gradients and gradients of gradients."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch.nn import functional

from ddbench.blocks import training, unroll
from ddbench.blocks.functional import flatten
from ddbench.core.errors import UsageError
from ddbench.models import build_model
from ddbench.models.fused import block, library
from ddbench.work.engine import Engine, choose

pytestmark = pytest.mark.skipif(bool(library.missing()), reason=f"no library: {library.missing()}")
EPS = 1e-5
SHAPES = [
    (2, 3, 32, 32),
    (1, 2, 16, 16),
    (2, 3, 14, 14),
    (3, 2, 8, 8),
    (2, 3, 7, 7),
    (1, 4, 4, 4),
    (2, 2, 5, 6),
    (1, 1, 2, 3),
]


@pytest.fixture(autouse=True)
def fused():
    block.turn(True)
    yield
    block.turn(False)


def plain(x, gain, bias):
    return functional.avg_pool2d(functional.relu(functional.group_norm(x, len(gain), gain, bias, EPS)), 2)


def ours(x, gain, bias):
    return block.norm_relu_pool(x, gain, bias, EPS)


def inputs(shape, dtype=torch.float64):
    draws = torch.Generator().manual_seed(sum(shape))
    x, gain, bias = (torch.randn(size, generator=draws, dtype=dtype) for size in (shape, shape[1], shape[1]))
    return (3 * x + 1).requires_grad_(), gain.requires_grad_(), bias.requires_grad_()


def orders(function, given):
    """Its values, its gradients, and the gradients of these, with random weights."""
    draws = torch.Generator().manual_seed(1)
    weights = lambda like: torch.randn(like.shape, generator=draws, dtype=like.dtype)  # noqa: E731
    value = function(*given)
    dout = weights(value).requires_grad_()
    first = torch.autograd.grad(value, given, dout, create_graph=True)
    second = torch.autograd.grad(first, (dout, given[0], given[1]), [weights(one) for one in first])
    return [value, *first, *second]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-4)])
def test_values_and_both_orders_of_gradients_are_those_of_the_three_operations(shape, dtype, tolerance):
    for mine, theirs in zip(orders(ours, inputs(shape, dtype)), orders(plain, inputs(shape, dtype)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_gradients_of_some_inputs_alone_can_be_differentiated_again(missing):
    def some(function):
        given = inputs((2, 3, 8, 8))
        wanted = [one for i, one in enumerate(given) if i != missing]
        first = torch.autograd.grad(function(*given).square().sum(), wanted, create_graph=True)
        return torch.autograd.grad(sum(one.pow(3).sum() for one in first), wanted)

    for mine, theirs in zip(some(ours), some(plain), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-11)


def test_the_number_of_threads_changes_no_bit():
    given = inputs((5, 7, 14, 14), torch.float32)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(orders(ours, given))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for more in found[1:] for a, b in zip(found[0], more, strict=True))


def test_tensors_that_are_not_contiguous_are_taken_as_they_are():
    x, gain, bias = inputs((2, 8, 8, 3))
    moved = x.permute(0, 3, 1, 2)
    expected = plain(moved, gain[:3], bias[:3])
    torch.testing.assert_close(ours(moved, gain[:3], bias[:3]), expected)
    weight = torch.randn_like(expected).transpose(2, 3)
    (mine,) = torch.autograd.grad(ours(moved, gain[:3], bias[:3]), x, weight)
    (theirs,) = torch.autograd.grad(expected, x, weight)
    torch.testing.assert_close(mine, theirs)


LAYOUTS = {
    "channels last": lambda x: x.to(memory_format=torch.channels_last),
    "one channel, rows of an HWC array": lambda x: x[:, :1].permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
    "every other image": lambda x: torch.cat([x, x]).view(2, *x.shape).transpose(0, 1)[:, 0],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_orders_are_right_in_any_layout_of_memory(layout):
    x, gain, bias = inputs((2, 3, 8, 8))
    moved = LAYOUTS[layout](x.detach()).requires_grad_()
    channels = moved.shape[1]
    given = moved, gain[:channels].detach().requires_grad_(), bias[:channels].detach().requires_grad_()
    for mine, theirs in zip(orders(ours, given), orders(plain, given), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_third_derivatives_are_those_of_plain_operations():
    def third(function):
        given = inputs((2, 2, 6, 6))
        first = torch.autograd.grad(function(*given).pow(3).sum(), given, create_graph=True)
        second = torch.autograd.grad(sum(one.square().sum() for one in first), given, create_graph=True)
        return torch.autograd.grad(sum(one.square().sum() for one in second), given)

    for mine, theirs in zip(third(ours), third(plain), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-8)


def test_a_block_that_was_changed_or_is_listened_to_computes_module_by_module():
    net = build_model("convnet2-w8", channels=1, classes=4, size=8, seed=0)
    x, seen = torch.randn(3, 1, 8, 8), []
    with torch.no_grad():
        hook = net.features[1].register_forward_hook(lambda module, given, out: seen.append(out.shape))
        assert not net.fused
        net(x)
        assert len(seen) == 1
        hook.remove()
        assert net.fused
        net.features[3] = torch.nn.MaxPool2d(2)
        assert not net.fused
        found = net(x)
        block.turn(False)
        torch.testing.assert_close(found, net(x), rtol=0, atol=0)


def test_whether_it_was_used_is_known():
    block.turn(True)
    assert not block.used()
    build_model("lenet", channels=1, classes=4, size=28, seed=0)(torch.randn(2, 1, 28, 28))
    assert not block.used()
    build_model("convnet2-w8", channels=1, classes=4, size=8, seed=0)(torch.randn(2, 1, 8, 8))
    assert block.used()


def test_nan_is_passed_on_as_relu_does():
    x, gain, bias = inputs((1, 2, 4, 4))
    with torch.no_grad():
        x[0, 0, 1, 1] = float("nan")
    found = ours(x, gain, bias)
    assert found[0, 0].isnan().all()
    assert not found[0, 1].isnan().any()


@pytest.mark.parametrize("name", ["convnet3-w16", "convnet2-w8"])
@pytest.mark.parametrize("size", [28, 9])
def test_a_network_gives_the_same_logits_and_gradients(name, size):
    if name.startswith("convnet3") and size == 9:
        pytest.skip("as deep as it goes elsewhere")
    net = build_model(name, channels=1, classes=10, size=size, seed=0).double()
    x = torch.randn(6, 1, size, size, dtype=torch.float64)

    def found():
        logits = net(x)
        return logits, *torch.autograd.grad(functional.cross_entropy(logits, torch.arange(6)), list(net.parameters()))

    with_it = found()
    block.turn(False)
    for mine, theirs in zip(with_it, found(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("gradients", ["exact", "tesla"])
def test_a_trajectory_s_gradients_are_those_of_plain_operations(gradients):
    net = build_model("convnet2-w8", channels=1, classes=4, size=8, seed=0).double()
    draws = torch.Generator().manual_seed(2)
    images = torch.randn(12, 1, 8, 8, generator=draws, dtype=torch.float64)
    labels = torch.randn(12, 4, generator=draws, dtype=torch.float64)
    start = flatten(list(net.parameters()))
    batches = [torch.randperm(12, generator=draws)[:6] for _ in range(4)]

    def found(way):
        outer = lambda theta: (theta - start - 0.01).square().sum()  # noqa: E731
        return unroll.backward(net, start, batches, images, labels, 0.05, outer=outer, gradients=way)

    with_it = found(gradients)
    block.turn(False)
    without = found(gradients)
    for part in ("loss", "grad_images", "grad_labels", "grad_lr", "final"):
        torch.testing.assert_close(getattr(with_it, part), getattr(without, part), rtol=1e-9, atol=1e-11)


def test_within_torch_func_and_forward_mode_plain_operations_are_used():
    net = build_model("convnet2-w8", channels=1, classes=4, size=8, seed=0)
    x = torch.randn(3, 2, 1, 8, 8)
    together = torch.func.vmap(net)(x)
    torch.testing.assert_close(together, torch.stack([net(one) for one in x]))
    value, tangent = torch.func.jvp(net, (x[0],), (torch.ones_like(x[0]),))
    assert tangent.abs().sum() > 0
    torch.testing.assert_close(value, net(x[0]))
    with torch.autograd.forward_ad.dual_level():
        dual = net(torch.autograd.forward_ad.make_dual(x[0], torch.ones_like(x[0])))
        torch.testing.assert_close(torch.autograd.forward_ad.unpack_dual(dual).tangent, tangent)


def test_an_engine_says_which_operations_are_used():
    Engine(device="cpu", threads=1, engine="eager").apply()
    assert not block.in_use()
    Engine(device="cpu", threads=1, engine="fused").apply()
    assert block.in_use()
    assert choose(device="cpu", threads=1).engine == "fused"
    assert choose(device="cpu", threads=1, engine="eager").engine == "eager"


HERE = "from ddbench.models.fused.library import missing; print(missing())"


def told(tmp_path, **environment):
    """What a new process with an empty home says."""
    env = os.environ | {"DDBENCH_HOME": str(tmp_path / "home")} | environment
    return subprocess.run(
        [sys.executable, "-c", HERE], env=env, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_homes_share_what_is_compiled_where_they_can(tmp_path, monkeypatch):
    monkeypatch.setenv("DDBENCH_HOME", str(tmp_path / "mine"))
    (tmp_path / "other").mkdir()
    library.lend(tmp_path / "other")
    (tmp_path / "other/compiled/x.so").write_bytes(b"x")
    assert (tmp_path / "mine/compiled/x.so").read_bytes() == b"x"
    for place in ("other", "mine", "nowhere"):
        library.lend(tmp_path / place)  # it has its own, or is not there: that is no error
    assert not (tmp_path / "nowhere").exists()


@pytest.fixture
def compiler(tmp_path):
    """A folder with a compiler in it that writes down what it is asked for, and makes what another one made before."""
    (tmp_path / "bin").mkdir()
    path = tmp_path / "bin/cc"
    path.write_text(f"""#!/bin/sh
echo "$@" >> {tmp_path}/asked
case "$*" in *--version) echo 1; exit 0;; esac
while [ "$1" != -o ]; do shift; done
cp {library._found()[0]} "$2"
""")
    path.chmod(0o755)
    return path.parent


def compilations(tmp_path):
    return [line for line in (tmp_path / "asked").read_text().splitlines() if not line.endswith("--version")]


def test_a_compiled_file_is_kept_for_the_next_process(tmp_path, compiler):
    path = f"{compiler}:{os.environ['PATH']}"
    assert told(tmp_path, PATH=path) == ""
    (kept,) = (tmp_path / "home/compiled").iterdir()
    assert told(tmp_path, PATH="/nowhere") == "there is no C compiler (cc)", "who compiled is part of its name"
    made = kept.stat().st_mtime_ns
    assert told(tmp_path, PATH=path) == ""
    assert kept.stat().st_mtime_ns == made
    assert len(compilations(tmp_path)) == 1
    content = kept.read_bytes()
    kept.write_bytes(content[: len(content) // 2])
    assert told(tmp_path, PATH=path) == ""
    assert kept.read_bytes() == content, "compiled again"
    assert len(compilations(tmp_path)) == 2


def test_other_arguments_of_the_compiler_make_another_file(tmp_path, compiler):
    for command in ("cc", "cc -ffast-math"):
        assert told(tmp_path, CC=command, PATH=f"{compiler}:{os.environ['PATH']}") == ""
    assert ["-ffast-math" in asked for asked in compilations(tmp_path)] == [False, True]
    assert len(list((tmp_path / "home/compiled").iterdir())) == 2


@pytest.mark.parametrize("command", ['cc "', "   ", "no-such-compiler --fast"])
def test_a_command_that_is_none_is_told(tmp_path, compiler, command):
    said = told(tmp_path, CC=command, PATH=f"{compiler}:{os.environ['PATH']}")
    assert said == "" if not command.strip() else ("no command" in said or "no C compiler (no-such-compiler)" in said)


def test_a_home_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "home").write_text("a file")
    assert "home" in told(tmp_path)


def test_a_process_tries_once(tmp_path):
    path, calls = tmp_path / "cc", tmp_path / "calls"
    path.write_text(f"#!/bin/sh\necho x >> {calls}\nexit 1\n")
    path.chmod(0o755)
    program = "from ddbench.models.fused.library import missing; [missing() for _ in range(5)]"
    env = os.environ | {"DDBENCH_HOME": str(tmp_path / "home"), "CC": str(path)}
    subprocess.run([sys.executable, "-c", program], env=env, check=True)
    assert calls.read_text() == "x\n"


@pytest.mark.parametrize(
    ("compiler", "why"),
    [
        ("#!/bin/sh\necho broken >&2\nexit 3", "returned non-zero exit status 3"),
        ("#!/bin/sh\n[ $1 = --version ] && exit 0\necho 'error: no such flag' >&2\nexit 1", "error: no such flag"),
        (
            "#!/bin/sh\n[ $1 = --version ] && exit 0\nwhile [ $1 != -o ]; do shift; done\necho junk > $2",
            "file too short",
        ),
    ],
)
def test_a_compiler_that_fails_is_told_in_a_line(tmp_path, compiler, why):
    path = tmp_path / "cc"
    path.write_text(compiler + "\n")
    path.chmod(0o755)
    said = told(tmp_path, CC=str(path))
    assert why in said
    assert "\n" not in said


def test_an_engine_that_is_asked_for_must_exist(monkeypatch):
    monkeypatch.setattr("ddbench.work.engine.missing", lambda: "there is no C compiler (cc)")
    assert choose(device="cpu", threads=1).engine == "eager"
    with pytest.raises(UsageError, match="--engine fused: there is no C compiler"):
        choose(device="cpu", threads=1, engine="fused")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_a_batch_in_parts_trains_as_a_whole_one(monkeypatch, weighted, loss):
    draws = torch.Generator().manual_seed(0)
    images = torch.randn(20, 1, 8, 8, generator=draws, dtype=torch.float64)
    targets = torch.arange(20) % 4 if loss == "ce" else torch.randn(20, 4, generator=draws, dtype=torch.float64)
    weights = torch.rand(20, generator=draws, dtype=torch.float64) if weighted else None
    seen = []

    def trained(part):
        monkeypatch.setattr(training, "PART", part)
        net = build_model("convnet2-w8", channels=1, classes=4, size=8, seed=0).double()
        net.register_forward_pre_hook(lambda module, given: seen.append(len(given[0])))
        recipe = training.TrainingRecipe(updates=3, lr=0.1, batch=16, loss=loss)
        order = torch.Generator().manual_seed(1)
        trainer = training.Trainer(net, lambda index: images[index], targets, recipe, order=order, weights=weights)
        losses = [trainer.update() for _ in range(3)]
        return [*losses, *net.parameters()]

    whole = trained(10**6)
    assert seen == [16, 4, 16]
    seen.clear()
    for mine, theirs in zip(trained(7 * 64), whole, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)
    assert seen == [7, 7, 2, 4, 7, 7, 2]
    seen.clear()
    block.turn(False)
    trained(7 * 64)
    assert seen == [16, 4, 16], "PyTorch's own operations take it whole"
