"""A dry run counts exactly, estimates from a sample, and leaves no trace."""

from __future__ import annotations

import pytest
from labelling_parts import TOY

from mhipnn.config import compose_config
from mhipnn.data import SpinDataModule
from mhipnn.data import dry_run as module
from mhipnn.errors import DatasetError
from mhipnn.generate import run


def data(root, **changes):
    return SpinDataModule(**(TOY | {"root": root, "n_workers": 1, "progress": False} | changes))


def on_disk(made, split):
    return sum(path.stat().st_size for path in made.folder.glob(f"{split}-*.h5"))


def test_what_is_announced_is_what_is_made(tmp_path):
    report = module.dry_run(data(tmp_path))
    assert not any(tmp_path.iterdir())
    made = data(tmp_path)
    made.prepare_data()
    assert str(made.folder) == report["folder"]
    for split, row in report["splits"].items():
        assert (row["realisations"], row["there"]) == (made.definition.realisations(split), 0)
        assert row["configurations"] == len(made.labelled(split))
        assert row["bytes"] == pytest.approx(on_disk(made, split), rel=0.05)
    assert report["configurations"] == 10 + 2 * 3 + 2 + 2 + 2 + 2 + 2


def test_what_is_there_costs_nothing(tmp_path):
    made = data(tmp_path)
    made.prepare_data()
    stamps = {path: path.stat().st_mtime_ns for path in made.folder.iterdir()}
    report = module.dry_run(data(tmp_path))
    assert (report["configurations"], report["seconds"], report["bytes"]) == (0, 0, 0)
    more = module.dry_run(data(tmp_path, splits={"train": 20, "val": 2, "test": 2}))
    assert more["splits"]["train"]["there"] == 10
    assert more["configurations"] == 10 + 2 * 2  # numbers 12 and 16 have two more
    assert {path: path.stat().st_mtime_ns for path in made.folder.iterdir()} == stamps


def test_time_is_that_of_the_kinds_shared_among_workers(tmp_path, monkeypatch):
    seconds = {(False, True): 10.0, (False, False): 4.0, (True, False): 100.0}
    original = module.label_jobs

    def timed(jobs):
        labelled, _ = original(jobs)
        return labelled, seconds[jobs[0].split == "size", "more" in jobs[0].kind[1]]

    monkeypatch.setattr(module, "label_jobs", timed)
    report = module.dry_run(data(tmp_path, n_workers=2))
    assert report["splits"]["train"]["seconds"] == pytest.approx(3 * 10 + 7 * 4)
    assert report["splits"]["size"]["seconds"] == pytest.approx(200)
    assert report["worker_seconds"] == pytest.approx(58 + 14 + 14 + 200)
    assert report["seconds"] == pytest.approx(286 / 2)
    # one worker has to do the longest, however many there are
    assert module.dry_run(data(tmp_path, n_workers=50))["seconds"] == pytest.approx(100)


def test_the_command_prints_a_table_and_the_script_of_the_queue(tmp_path, capsys):
    arguments = ["data=sd_tiny", f"data.root={tmp_path / 'labels'}", "dry_run=true"]
    report = run(compose_config("generate", arguments))
    assert not any(tmp_path.iterdir())
    shown = capsys.readouterr().out
    assert "Labels of sd_tiny to be made" in shown
    assert f"{report['configurations']} " in shown
    assert "Nothing is written." in shown
    assert "#SBATCH" not in shown
    run(compose_config("generate", [*arguments, "launcher=slurm", "launcher.partition=long"]))
    assert "#SBATCH -p long\n" in capsys.readouterr().out


def test_data_from_files_have_no_labels_to_make(tmp_path):
    foreign = data(tmp_path)
    foreign.definition = None
    with pytest.raises(DatasetError, match="no labels to make"):
        module.dry_run(foreign)
