"""What a checkpoint says of its dataset may build registered classes only."""

from __future__ import annotations

from pathlib import Path

import pytest

from mhipnn.errors import CheckpointError
from mhipnn.nn.checkpoint import CheckpointRecord
from mhipnn.training.evaluation import dataset_of

STRUCTURE = {"_target_": "mhipnn.structures.disorder.RandomSites", "n_sites": 8}
POTENTIAL = {"_target_": "mhipnn.electrons.sd_model.SDModel", "J": 3, "filling": 1}
SAMPLERS = {"random": {"_target_": "mhipnn.structures.spins.RandomSpins"}}


def record(**changes: object) -> CheckpointRecord:
    dataset = {
        "label_format": 1,
        "name": "small",
        "structure": STRUCTURE,
        "potential": POTENTIAL,
        "samplers": SAMPLERS,
        "splits": {"train": 1, "val": 1, "test": 1},
    }
    return CheckpointRecord("heisenberg", {}, metadata={"dataset": dataset | changes})


def test_the_dataset_of_a_record_is_rebuilt(tmp_path):
    data = dataset_of(record(), Path("best.ckpt"), 2.5, str(tmp_path))
    assert data.definition.structure == STRUCTURE
    assert data.cutoff == 2.5


@pytest.mark.parametrize("target", ["pathlib.Path.touch", "mhipnn.data.pool.os.system", "mhipnn.structures.np.save"])
@pytest.mark.parametrize("where", ["structure", "nested"])
def test_an_import_path_that_is_not_registered_is_refused(tmp_path, target, where):
    sentinel = tmp_path / "touched"
    node = {"_target_": target, "_args_": [str(sentinel)]}
    changes = {"structure": node} if where == "structure" else {"potential": POTENTIAL | {"hopping": node}}
    with pytest.raises(CheckpointError, match=f"best.ckpt: dataset.*{target}.*not registered"):
        dataset_of(record(**changes), Path("best.ckpt"), 2.5, str(tmp_path))
    assert not sentinel.exists()


def test_a_record_without_a_dataset_and_one_with_unknown_entries(tmp_path):
    with pytest.raises(CheckpointError, match="names no dataset"):
        dataset_of(CheckpointRecord("heisenberg", {}), Path("best.ckpt"), 2.5, str(tmp_path))
    with pytest.raises(CheckpointError, match=r"best.ckpt: .*colour"):
        dataset_of(record(colour="red"), Path("best.ckpt"), 2.5, str(tmp_path))
