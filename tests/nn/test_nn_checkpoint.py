"""Checkpoints are files from others: what is refused, and in which words."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mhipnn.errors import CheckpointError, ConfigError
from mhipnn.nn.checkpoint import CheckpointRecord, load_model, load_potential
from mhipnn.nn.mhip import MHIP
from mhipnn.structures import random_sites

ARGUMENTS = {"cutoff": 2.5, "n_features": 4, "n_sensitivities": 3, "n_onsite": 1}


def content(dtype: str = "float32", **record) -> dict:
    torch.manual_seed(0)
    model = MHIP(**ARGUMENTS).in_precision(getattr(torch, dtype))
    with torch.no_grad():
        for parameter in model.parameters():  # no value that float32 holds exactly
            parameter += torch.rand_like(parameter) / 7
    values = CheckpointRecord("mhip", dict(ARGUMENTS), dtype, {"units": {"energy": "t0"}}).to_dict()
    return {
        "mhipnn": values | record,
        "state_dict": {f"model.{name}": value for name, value in model.state_dict().items()},
    }


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "best.ckpt"


def refusal(path: Path) -> str:
    """The one line of the error."""
    with pytest.raises(CheckpointError) as caught:
        load_potential(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert "\x1b" not in message
    return message


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_come_back_to_the_bit(path, dtype):
    saved = content(dtype)
    torch.save(saved, path)
    model, record = load_model(path)
    for name, value in model.state_dict().items():
        assert torch.equal(value, saved["state_dict"][f"model.{name}"]), name
        assert value.dtype == saved["state_dict"][f"model.{name}"].dtype
    assert record == CheckpointRecord.read(path)
    assert load_potential(path).dtype == getattr(torch, dtype)


def test_precision_on_request(path):
    torch.save(content("float64"), path)
    config = random_sites(12, 2, rng=0)
    double, single = load_potential(path).evaluate(config), load_potential(path, dtype="float32").evaluate(config)
    assert 0 < np.abs(single.field - double.field).max() < 1e-4 * np.abs(double.field).max()
    with pytest.raises(ConfigError, match="float16"):
        load_potential(path, dtype="float16")


class Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("where", ["record", "weights", "beside"])
def test_pickle_payload_is_refused_and_never_runs(path, tmp_path, where):
    trap = tmp_path / "trap"
    saved = content()
    {"record": saved["mhipnn"]["metadata"], "weights": saved["state_dict"], "beside": saved}[where]["x"] = Payload(trap)
    torch.save(saved, path)
    message = refusal(path)
    assert "refused" in message
    assert "mkdir" in message
    assert "trust" not in message
    assert not trap.exists()
    torch.load(path, weights_only=False)  # the trap works
    assert trap.exists()


@pytest.mark.parametrize("name", ["os.system", "mhipnn.nn.mhip.MHIP", "mhipnn.nn.mhip:MHIP"])
def test_import_path_is_refused(path, name):
    torch.save(content(model=name), path)
    message = refusal(path)
    assert "import path" in message
    assert repr(name) in message


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"model": "mhipp"}, "did you mean 'mhip'"),
        ({"format": 99, "version": "9.0"}, "format 99 (mhipnn 9.0)"),
        ({"format": "1"}, "no 'mhipnn' record"),
        ({"model": 7}, "must be a name"),
        ({"arguments": [1]}, "arguments a table"),
        ({"metadata": [1]}, "metadata must be a table"),
        ({"dtype": "bfloat16"}, "bfloat16"),
        ({"surprise": 1}, "surprise"),
        ({"arguments": ARGUMENTS | {"n_layers": 2}}, "n_layers"),
        ({"arguments": ARGUMENTS | {"n_features": "many"}}, "does not take these arguments"),
        ({"arguments": ARGUMENTS | {"n_features": -4}}, "n_features=-4"),
        ({"arguments": ARGUMENTS | {"cutoff": -1.0}}, "cutoff"),
        ({"arguments": ARGUMENTS | {"n_features": 5}}, "do not fit model 'mhip'"),
        ({"arguments": ARGUMENTS | {"n_onsite": 0}}, "Unexpected key"),
        ({"arguments": ARGUMENTS | {"n_onsite": 2}}, "Missing key"),
    ],
)
def test_records_that_cannot_be(path, record, says):
    torch.save(content(**record), path)
    assert says in refusal(path)


def test_content_that_cannot_be(path):
    full = content()
    for saved in ({}, [1], torch.zeros(3), {"mhipnn": None}, {"mhipnn": {}}, {"state_dict": full["state_dict"]}):
        torch.save(saved, path)
        assert "no 'mhipnn' record" in refusal(path)
    for state in (None, [1.0], {1: torch.zeros(1)}):
        torch.save(full | {"state_dict": state}, path)
        assert "no weights" in refusal(path)
    torch.save(full | {"state_dict": {}}, path)
    assert "Missing key" in refusal(path)
    torch.save(full | {"state_dict": full["state_dict"] | {"model.scale": "big"}}, path)
    assert "do not fit" in refusal(path)


def test_files_that_cannot_be(path, tmp_path):
    assert "no such checkpoint" in refusal(tmp_path / "none.ckpt")
    assert "no such checkpoint" in refusal(tmp_path)
    path.write_bytes(b"")
    refusal(path)
    path.write_text("epoch,step\n1,2\n")
    refusal(path)


@settings(max_examples=25, deadline=None)
@given(data=st.binary(max_size=200))
def test_random_bytes(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "random.ckpt"
    path.write_bytes(data)
    refusal(path)


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0.0, 0.999))
def test_truncated(share, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "truncated.ckpt"
    torch.save(content(), path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refusal(path)
