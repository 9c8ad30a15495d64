"""The Hugging Face Hub, asked once: names that it cannot have, and addresses at which nobody answers."""

from __future__ import annotations

import socket
import sys
from types import SimpleNamespace

import pytest

from ddbench.core.errors import DataError
from ddbench.data.readers import hub


@pytest.mark.parametrize("name", ["a", "a/b/c/d", "a//b", "/a/b", "../b", "a b/c", "a/b/", "", "a/" + "b" * 5 + "é?"])
def test_what_is_no_name_is_refused_before_anything_is_asked(name, monkeypatch):
    monkeypatch.setattr(hub, "_library", lambda repository: pytest.fail("asked"))
    with pytest.raises(DataError, match="USER/NAME"):
        hub.read(name)


@pytest.mark.parametrize("variable", ["HF_ENDPOINT", "http_proxy"])
def test_where_nobody_answers_the_libraries_are_not_left_to_ask_again(variable, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    constants = SimpleNamespace(HF_HUB_OFFLINE=False)
    monkeypatch.setitem(sys.modules, "huggingface_hub.constants", constants)
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = f"http://127.0.0.1:{server.getsockname()[1]}"
        for address, offline in (("http://127.0.0.1:1", True), (here, False), ("http://127.0.0.1:port", True)):
            monkeypatch.setenv(variable, address)
            with hub._asked_once():
                assert constants.HF_HUB_OFFLINE is offline
            assert constants.HF_HUB_OFFLINE is False
    constants.HF_HUB_OFFLINE = True
    monkeypatch.setattr(hub, "_answers", lambda: pytest.fail("asked"))
    with hub._asked_once():
        assert constants.HF_HUB_OFFLINE is True
    assert constants.HF_HUB_OFFLINE is True
