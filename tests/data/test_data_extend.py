"""A dataset that grows: what is there stays, what is missing is made, and nobody can tell afterwards."""

from __future__ import annotations

import json
import logging
import shutil

import labelling_parts
import numpy as np
import pytest
from labelling_parts import RANDOM, TOY, contents

from mhipnn.data import label_dataset, load_split, read_shard
from mhipnn.data import realisations as work
from mhipnn.data.labelling import shards_of
from mhipnn.errors import DatasetError


def define(train=10, val=2, size=1, **changes):
    counts = {
        "splits": {"train": train, "val": val, "test": 2},
        "size_split": TOY["size_split"] | {"realisations": size},
    }
    return labelling_parts.define(**(counts | changes))


@pytest.fixture
def calls(monkeypatch):
    """(split, realisation) of everything that is labelled."""
    made = []
    original = work.draw

    def counted(job):
        made.append((job.split, job.realisation))
        return original(job)

    monkeypatch.setattr(work, "draw", counted)
    return made


def make(definition, root):
    return label_dataset(definition, root, n_workers=1, progress=False)


def test_an_extended_dataset_is_the_one_made_at_once(tmp_path, calls):
    folder = make(define(), tmp_path / "grown")
    calls.clear()
    assert make(define(20, 9, 3), tmp_path / "grown") == folder
    # 8 and 9 were in a shard of two, which is completed around them
    assert sorted(calls) == sorted(
        [("train", n) for n in range(10, 20)] + [("val", n) for n in range(2, 9)] + [("size", 1), ("size", 2)]
    )
    once = make(define(20, 9, 3), tmp_path / "once")
    assert contents(folder) == contents(once)
    assert len(contents(folder)) == len(shards_of(define(20, 9, 3), folder))
    calls.clear()
    make(define(20, 9, 3), tmp_path / "grown")
    assert not calls


def test_fewer_realisations_are_the_first_ones(tmp_path, calls):
    small = make(define(), tmp_path / "small")
    large = make(define(20, 9, 3), tmp_path / "large")
    before, _ = contents(large), calls.clear()
    assert make(define(), tmp_path / "large") == large
    assert not calls
    assert contents(large) == before  # asking for less takes nothing away
    for split in ("train", "val", "test", "size"):
        few, many = (load_split(define(), root.parent, split) for root in (small, large))
        for name in ("positions", "spins", "field", "forces", "energy", "realisation", "offsets"):
            np.testing.assert_array_equal(getattr(few, name), getattr(many, name))
    assert set(load_split(define(3), tmp_path / "large", "train").realisation) == {0, 1, 2}


def test_too_few_on_disk_is_an_error_until_they_are_made(tmp_path):
    make(define(), tmp_path)
    with pytest.raises(DatasetError, match=r"train-00008\.h5 holds realisations 8 to 9, and realisations 8 to 11"):
        load_split(define(12), tmp_path, "train")
    make(define(12), tmp_path)
    assert set(load_split(define(12), tmp_path, "train").realisation) == set(range(12))


def test_an_extension_that_stops_keeps_what_was_there(tmp_path, monkeypatch):
    folder = make(define(), tmp_path)
    before = contents(folder)

    def refuse(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(work, "draw", refuse)
        with pytest.raises(KeyboardInterrupt):
            make(define(20), tmp_path)
    assert contents(folder) == before
    load_split(define(), tmp_path, "train")
    make(define(20), tmp_path)
    assert contents(folder) == contents(make(define(20), tmp_path / "once"))


def test_realisations_without_a_configuration_count_as_made(tmp_path, calls):
    sparse = {"samplers": {"random": dict(RANDOM, every=50)}, "size_split": None}
    make(define(10, **sparse), tmp_path)
    calls.clear()
    make(define(10, **sparse), tmp_path)
    assert not calls
    make(define(11, **sparse), tmp_path)
    assert calls == [("train", 10)]


def test_the_definition_in_the_folder_counts_nothing_that_may_change(tmp_path):
    folder = make(define(), tmp_path)
    path = folder / "definition.json"
    before = path.read_bytes()
    stored = json.loads(before)
    assert "splits" not in stored
    assert stored["size_split"] == {"factor": 3, "samplers": {"random": RANDOM}}
    make(define(20), tmp_path)
    assert path.read_bytes() == before
    assert define(20).is_of(before.decode())
    assert not define(20, seed=1).is_of(before.decode())
    assert not define().is_of("[]")
    assert not define().is_of("half a li")


def as_format_1(definition, folder):
    """Turn a folder into what earlier versions wrote: the numbers of realisations are part of the definition."""
    import h5py

    from mhipnn.data import store

    text = json.dumps(definition.to_dict() | {"label_format": 1}, sort_keys=True, separators=(",", ":"))
    for path in folder.glob("*.h5"):
        with h5py.File(path, "r+") as file:
            file.attrs["definition"] = text
        body = path.read_bytes()[store.USER_BLOCK :]
        path.write_bytes(store._header(body) + body)
    (folder / "definition.json").write_text(text)
    earlier = folder.with_name(f"toy-{'0123456789ab'}")
    folder.rename(earlier)
    return earlier


def test_labels_of_the_earlier_format_are_taken_over(tmp_path, calls, caplog):
    earlier = as_format_1(define(), make(define(), tmp_path))
    kept = contents(earlier)
    calls.clear()
    with caplog.at_level(logging.INFO):
        folder = make(define(12), tmp_path)
    assert calls == [("train", 10), ("train", 11)]
    assert "15 realisations are taken over" in caplog.text
    assert contents(earlier) == kept
    assert contents(folder) == contents(make(define(12), tmp_path / "elsewhere"))


def test_of_the_earlier_format_only_sound_shards_of_this_dataset_are_taken(tmp_path, calls):
    earlier = as_format_1(define(), make(define(), tmp_path))
    path = earlier / "train-00000.h5"
    path.write_bytes(path.read_bytes()[:-10])
    shutil.copy(earlier / "val-00000.h5", earlier / "test-00000.h5")
    calls.clear()
    make(define(), tmp_path)
    assert sorted(calls) == [("test", 0), ("test", 1)] + [("train", n) for n in range(8)]
    calls.clear()
    make(define(seed=1), tmp_path)
    assert len(calls) == 10 + 2 + 2 + 1


def test_half_a_shard_never_enters_training(tmp_path, calls):
    folder = make(define(), tmp_path)
    whole = contents(folder)
    path = folder / "train-00008.h5"
    # as a process leaves it that is killed while it writes, and as a file system may after a loss of power
    (folder / ".train-00008.h5.77.tmp").write_bytes(whole[path.name][:700])
    for n_bytes in (0, 300, 512, len(whole[path.name]) // 2):
        path.write_bytes(whole[path.name][:n_bytes])
        with pytest.raises(DatasetError, match=r"train-00008\.h5"):
            load_split(define(), tmp_path, "train")
    calls.clear()
    make(define(), tmp_path)
    assert calls == [("train", 8), ("train", 9)]
    assert contents(folder) == whole
    assert not list(folder.glob(".*.tmp"))
    assert len(read_shard(path)) == 4
