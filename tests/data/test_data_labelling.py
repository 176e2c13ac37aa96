"""Labelling: the same labels whatever happens on the way, and errors that say what is wrong."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from labelling_parts import ELECTRONS, PAIRS, RANDOM, SITES, SPLITS, contents, define, part, running, wait_for

from mhipnn import SDModel
from mhipnn.atomic import folder_lock
from mhipnn.data import label_dataset, load_split
from mhipnn.data.labelling import _batched, label_realisation, shards_of
from mhipnn.data.progress import LabellingProgress
from mhipnn.data.realisations import Job, label_jobs
from mhipnn.errors import DatasetError, InputError, NonFiniteError, UserError


@pytest.fixture
def made(tmp_path):
    """A finished dataset: (definition, root, folder, bytes of its shards)."""
    folder = label_dataset(define(), tmp_path, n_workers=1, progress=False)
    return define(), tmp_path, folder, contents(folder)


def test_what_is_in_each_split(made):
    definition, root, _folder, files = made
    assert sorted(files) == ["size-00000.h5", "size-00001.h5", "test-00000.h5"] + [
        "train-00000.h5", "train-00008.h5", "val-00000.h5"
    ]  # fmt: skip
    train = load_split(definition, root, "train")
    # one random state on each of 10 realisations, two more on numbers 0, 4 and 8
    assert np.bincount(train.realisation).tolist() == [3, 1, 1, 1, 3, 1, 1, 1, 3, 1]
    size = load_split(definition, root, "size")
    assert size.realisation.tolist() == [0, 1]
    assert size.n_sites.tolist() == [18, 18]
    assert set(train.n_sites) == {6}


def test_splits_share_no_disorder_and_no_spins(made):
    definition, root, *_ = made
    sites: list[set] = []
    spins = []
    for split in ("train", "val", "test"):
        labelled = load_split(definition, root, split)
        first = labelled.offsets[:-1]
        sites.append({tuple(labelled.positions[row]) for row in first})
        spins += [tuple(labelled.spins[row]) for row in first]
        assert len(sites[-1]) == definition.realisations(split)
    assert len(set.union(*sites)) == sum(map(len, sites))
    assert len(set(spins)) == len(spins)


def test_labels_belong_to_their_configurations():
    definition = define(potential=ELECTRONS)
    labelled = label_realisation(definition, "train", 4)
    model = SDModel(J=3.0, filling=1.0)
    for index in range(len(labelled)):
        config, rows = labelled.configuration(index), labelled.sites(index)
        exact = model.evaluate(config)
        np.testing.assert_allclose(labelled.energy[index], exact.energy, rtol=1e-14)
        np.testing.assert_allclose(labelled.field[rows], exact.field, atol=1e-12)
        np.testing.assert_allclose(labelled.forces[rows], exact.forces, atol=1e-12)
        # B = -dE/dS and F = -dE/dR, by differences of the energy alone
        step = np.zeros((6, 3))
        step[2] = 1e-5 * np.array([0.3, -0.8, 0.5])
        slope = [model.evaluate(config.with_spins(config.spins + s * step)).energy for s in (1, -1)]
        assert slope[0] - slope[1] == pytest.approx(-2 * (step * labelled.field[rows]).sum(), rel=1e-5)
        moved = [
            model.evaluate(dataclasses.replace(config, positions=config.positions + s * step)).energy for s in (1, -1)
        ]
        assert moved[0] - moved[1] == pytest.approx(-2 * (step * labelled.forces[rows]).sum(), rel=1e-4)


def test_labels_do_not_depend_on_processes(tmp_path):
    definition = define(potential=ELECTRONS)
    threads = torch.get_num_threads()
    one = label_dataset(definition, tmp_path / "one", n_workers=1, progress=False)
    two = label_dataset(definition, tmp_path / "two", n_workers=2, progress=False)
    assert contents(one) == contents(two)
    assert torch.get_num_threads() == threads


def test_labels_do_not_depend_on_what_is_labelled_with_them():
    definition = define(potential={"_target_": "mhipnn.electrons.SDModel", "J": 3, "filling": 1})
    together, _ = label_jobs([Job(definition, "train", number) for number in range(3)])
    for number, labelled in enumerate(together):
        alone = label_realisation(definition, "train", number)
        assert len(labelled) == (3 if number == 0 else 1)
        for name in ("energy", "field", "forces", "spins", "positions", "realisation", "time"):
            np.testing.assert_array_equal(getattr(labelled, name), getattr(alone, name))


def test_short_jobs_go_together_and_long_ones_alone():
    quench = {"_target_": "mhipnn.dynamics.Quench", "duration": 1.0, "time_step": 0.5}
    snapshots = {"_target_": "mhipnn.dynamics.QuenchSnapshots", "times": [1.0], "quench": quench, "every": 16}
    definition = define(samplers={"random": RANDOM, "quench": snapshots}, splits={"train": 100, "val": 1, "test": 1})
    jobs = [Job(definition, "train", number) for number in range(100)]
    kinds = {(job.split, job.realisation): job.kind for job in jobs}
    for n_workers, size in ((1, 25), (2, 12), (50, 1)):
        batches = _batched(jobs, kinds, n_workers)
        assert sorted(job.realisation for batch in batches for job in batch) == list(range(100))
        assert all(len({job.kind for job in batch}) == 1 for batch in batches)
        assert all(len(batch) == 1 for batch in batches if not batch[0].is_short)
        assert len(batches[1]) == 1  # the first short one leads alone
        assert max(map(len, batches)) == size


def test_seed_split_and_realisation_change_labels():
    base = label_realisation(define(), "train", 0)
    for other in (
        label_realisation(define(seed=1), "train", 0),
        label_realisation(define(), "val", 0),
        label_realisation(define(), "train", 4),
    ):
        assert not np.isin(other.positions[:, 0], base.positions[:, 0]).any()
    np.testing.assert_array_equal(base.spins, label_realisation(define(name="other"), "train", 0).spins)
    # a dataset with more realisations starts with the same ones
    more = define(splits=dict(SPLITS, train=20))
    np.testing.assert_array_equal(base.spins, label_realisation(more, "train", 0).spins)


def test_a_finished_dataset_is_found_not_made(made, monkeypatch, caplog):
    definition, root, folder, files = made
    monkeypatch.setattr("mhipnn.data.launchers.processes.run_jobs", None)
    assert label_dataset(definition, root, n_workers=1) == folder
    assert contents(folder) == files
    assert not caplog.records


def damage_by_deleting(path):
    path.unlink()


def damage_by_truncating(path):
    path.write_bytes(path.read_bytes()[:-100])


def damage_by_altering(path):
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [damage_by_deleting, damage_by_truncating, damage_by_altering])
def test_damage_is_named_and_made_again_and_nothing_else(made, damage, caplog):
    definition, root, folder, files = made
    kept = folder / "train-00008.h5"
    before = kept.stat().st_mtime_ns
    damage(folder / "train-00000.h5")
    damage(folder / "size-00001.h5")
    if damage is not damage_by_deleting:
        with pytest.raises(DatasetError, match=r"train-00000\.h5"):
            load_split(definition, root, "train")
    with caplog.at_level(logging.WARNING):
        label_dataset(definition, root, n_workers=1, progress=False)
    assert contents(folder) == files
    assert kept.stat().st_mtime_ns == before
    if damage is damage_by_deleting:
        assert not caplog.records
    else:
        (record,) = caplog.records
        assert "train-00000.h5" in record.getMessage()
        assert "size-00001.h5" in record.getMessage()
        assert "train-00008.h5" not in record.getMessage()


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background hands it down ignored
from mhipnn.data import DatasetDefinition, label_dataset
if __name__ == "__main__":
    label_dataset(DatasetDefinition.from_json(sys.argv[1], "toy"), sys.argv[2], n_workers=int(sys.argv[3]))
"""


def workers(pids):
    return [int(path.name) for path in pids.iterdir()]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_labelling_leaves_no_process_and_continues_identically(tmp_path, how):
    definition = define(samplers={"random": part("SlowSpins"), "more": dict(RANDOM, n=2, every=4)})
    script, pids, root = tmp_path / "label.py", tmp_path / "pids", tmp_path / "data"
    script.write_text(SCRIPT)
    pids.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(script), definition.to_json(), str(root), "2"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
        | {"SLOW_SPINS_PIDS": str(pids), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    folder = definition.folder(root)
    try:
        wait_for(lambda: list(folder.glob("*.h5")) and len(list(pids.iterdir())) == 2, "no shard, or not two workers")
        process.send_signal(how)
        _, error = process.communicate(timeout=20)
        assert process.returncode != 0
        assert how == signal.SIGKILL or "KeyboardInterrupt" in error
        wait_for(lambda: not any(map(running, workers(pids))), f"{workers(pids)} outlived their parent", 20)
    finally:
        process.kill()
        for pid in filter(running, workers(pids)):
            os.kill(pid, signal.SIGKILL)

    survivors = {path: path.stat().st_mtime_ns for path in folder.glob("*.h5")}
    assert 0 < len(survivors) < len(shards_of(definition, folder))
    label_dataset(definition, root, n_workers=1, progress=False)
    whole = label_dataset(definition, tmp_path / "uninterrupted", n_workers=1, progress=False)
    assert contents(folder) == contents(whole)
    assert {path: path.stat().st_mtime_ns for path in survivors} == survivors
    assert not list(folder.glob(".*.tmp"))


def test_a_script_without_its_main_guard_is_told_so(tmp_path):
    script = tmp_path / "label.py"
    script.write_text(SCRIPT.replace('if __name__ == "__main__":', "if True:"))
    done = subprocess.run(
        [sys.executable, str(script), define(samplers={"random": RANDOM}).to_json(), str(tmp_path / "data"), "2"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "under `if __name__ == '__main__':`" in done.stderr


def test_a_second_process_waits_and_finds_what_the_first_made(tmp_path, monkeypatch, caplog):
    definition = define(size_split=None)
    folder = definition.folder(tmp_path)
    folder.mkdir()
    (folder / ".train-00000.h5.99.tmp").touch()  # of a process that was killed
    with ThreadPoolExecutor(1) as pool, folder_lock(folder):
        second = pool.submit(label_dataset, definition, tmp_path, 1, False)
        wait_for(lambda: "waiting for it" in caplog.text, "the second does not wait")
        made = label_dataset(definition, tmp_path / "elsewhere", n_workers=1, progress=False)
        for path in made.glob("*.h5"):
            path.rename(folder / path.name)
        monkeypatch.setattr("mhipnn.data.launchers.processes.run_jobs", lambda *_: pytest.fail("labelled again"))
        assert not second.done()
    assert second.result() == folder
    assert not list(folder.glob(".*.tmp"))


def test_time_left_is_known_once_every_kind_was_seen():
    bar = LabellingProgress("toy", ["small"] * 4 + ["large"] * 2, n_workers=2, visible=False)
    assert bar.seconds_left() is None
    bar.done("large", 10.0, 1)
    bar.done("small", 1.0, 1)
    assert bar.seconds_left() == pytest.approx((10 + 3 * 1) / 2)
    bar.done("small", 3.0, 1)
    bar.done("large", 30.0, 1)
    assert bar.seconds_left() == pytest.approx(2 * 2 / 2)


@pytest.mark.parametrize("n_workers", [1, 2])
def test_errors_of_a_worker_come_back_as_they_are(tmp_path, n_workers):
    definition = define(samplers={"bad": part("RefusingSpins")}, size_split=None)
    with pytest.raises(InputError, match="these sites cannot be used"):
        label_dataset(definition, tmp_path, n_workers=n_workers, progress=False)


def test_a_worker_that_dies_is_one_error(tmp_path):
    definition = define(samplers={"dying": part("DyingSpins")}, size_split=None)
    with pytest.raises(DatasetError, match="a labelling process died"):
        label_dataset(definition, tmp_path, n_workers=2, progress=False)


def test_labels_that_are_not_finite_are_named(tmp_path):
    definition = define(potential=dict(PAIRS, broken=True), size_split=None)
    with pytest.raises(NonFiniteError, match="field at site 3 is not finite in train realisation 0, sampler 'more'"):
        label_dataset(definition, tmp_path, n_workers=1, progress=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"potential": ELECTRONS | {"filling": 3}}, "filling"),
        ({"potential": ELECTRONS | {"temperature": -1}}, "temperature"),
        ({"potential": {"_target_": "mhipnn.electrons.SDModel", "J": 3, "fillng": 1}}, "fillng"),
        ({"potential": {"_target_": "mhipnn.electrons.NoModel"}}, "NoModel"),
        ({"potential": {"J": 3}}, "no `_target_`"),
        ({"structure": dict(SITES, r_min=2)}, "impossible at density"),
        ({"structure": PAIRS}, "enlarged"),
        ({"samplers": {"random": dict(RANDOM, every=0)}}, "every"),
    ],
)
def test_wrong_values_are_refused_before_anything_starts(tmp_path, changes, message, monkeypatch):
    monkeypatch.setattr("mhipnn.data.launchers.processes.run_jobs", None)
    with pytest.raises(UserError, match=message) as caught:
        label_dataset(define(**changes), tmp_path / "data", n_workers=2)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_no_configuration_at_all_is_an_empty_dataset(tmp_path):
    definition = define(samplers={"none": part("NoSpins")}, size_split=None)
    label_dataset(definition, tmp_path, n_workers=1, progress=False)
    with pytest.raises(DatasetError, match="empty dataset"):
        load_split(definition, tmp_path, "train")


def test_an_unwritable_root_is_one_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match=r"cannot write labels to .*choose another data\.root"):
        label_dataset(define(), tmp_path / "file", n_workers=1)


@pytest.mark.parametrize("n_workers", [0, -1, 1.5])
def test_the_number_of_workers_is_checked(tmp_path, n_workers):
    with pytest.raises(DatasetError, match="n_workers must be an integer >= 1"):
        label_dataset(define(), tmp_path, n_workers=n_workers)
