"""Our ConvNet computes what the published one computes."""

from __future__ import annotations

import pytest

from tests.parity.published import assert_agrees, network, read


@pytest.mark.parametrize("name", ["forward_rgb16", "forward_grey28"])
def test_logits_and_features_agree(name):
    numbers = read(name)
    net = network(numbers)
    assert_agrees(net.embed(numbers["x"]), numbers["features"])
    assert_agrees(net(numbers["x"]), numbers["logits"])
