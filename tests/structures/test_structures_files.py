"""Sites from files: crystals and amorphous frames through ASE and npz, and files that are not what they should be."""

from __future__ import annotations

import hashlib
import io
import pickle

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mhipnn.errors import DatasetError, InputError
from mhipnn.structures import Amorphous, Crystal, DilutedLattice, DisplacedLattice, neighbour_list


@pytest.fixture
def frames(tmp_path):
    """Three frames of 20 atoms of Co and Fe at another density, as extended XYZ."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(3):
        cell = np.diag(rng.uniform(5, 6, 3)) + rng.uniform(-0.5, 0.5, (3, 3))
        numbers = rng.permutation([26] * 12 + [27] * 8)
        images.append(Atoms(numbers=numbers, scaled_positions=rng.uniform(size=(20, 3)), cell=cell, pbc=True))
    ase.io.write(tmp_path / "melt.xyz", images, format="extxyz")
    return tmp_path / "melt.xyz", images


def bonds(config, cutoff):
    edges = neighbour_list(config.positions, config.cell, config.pbc, cutoff)
    return np.linalg.norm(config.positions[edges.source] - config.positions[edges.receiver] + edges.offset, axis=1)


def test_every_realisation_is_a_scaled_frame(frames):
    path, images = frames
    amorphous = Amorphous(str(path))
    met = set()
    for seed in range(20):
        config = amorphous.sample(np.random.default_rng(seed))
        assert abs(np.linalg.det(config.cell)) == pytest.approx(20)
        scales = [abs(np.linalg.det(config.cell) / image.cell.volume) ** (1 / 3) for image in images]
        (which,) = (k for k in range(3) if np.allclose(config.positions, scales[k] * images[k].positions, atol=1e-6))
        met.add(which)
        assert np.allclose(config.cell, scales[which] * images[which].cell, atol=1e-6)
        assert (config.species == (images[which].numbers == 27)).all()
        assert np.allclose(np.linalg.norm(config.spins, axis=1), 1)
    assert met == {0, 1, 2}
    one, two = (amorphous.sample(np.random.default_rng(3)) for _ in range(2))
    assert (one.spins == two.spins).all()
    raw = Amorphous(str(path), density=None).sample(np.random.default_rng(0))
    assert any(np.allclose(raw.positions, image.positions, atol=1e-6) for image in images)


def test_species_of_the_file_give_way_to_fractions(frames):
    config = Amorphous(str(frames[0]), species={"fractions": [0.5, 0.25, 0.25]}).sample(np.random.default_rng(0))
    assert np.bincount(config.species).tolist() == [10, 5, 5]


def test_npz_frames_in_two_dimensions(tmp_path):
    rng = np.random.default_rng(1)
    positions = np.concatenate([rng.uniform(0, 8, (4, 10, 2)), np.zeros((4, 10, 1))], axis=2)
    np.savez(tmp_path / "a.npz", positions=positions, cell=np.diag([8.0, 8.0, 1.0]), pbc=[True, True, False])
    config = Amorphous(str(tmp_path / "a.npz")).sample(np.random.default_rng(0))
    assert config.pbc.tolist() == [True, True, False]
    assert config.cell[0, 0] ** 2 == pytest.approx(10)
    assert any(np.allclose(config.positions, frame * np.sqrt(10) / 8) for frame in positions)
    np.savez(tmp_path / "one.npz", positions=positions[0], cell=8 * np.eye(3), species=np.arange(10))
    config = Amorphous(str(tmp_path / "one.npz"), density=None).sample(np.random.default_rng(0))
    assert config.species.tolist() == list(range(10))
    assert config.pbc.all()
    assert (config.positions == positions[0]).all()


def test_frames_are_not_enlarged(frames):
    with pytest.raises(InputError, match=r"4 times as large.*size_split: null"):
        Amorphous(str(frames[0])).enlarged(4)


@pytest.mark.parametrize(("name", "distance", "neighbours"), [("a.cif", 2.4824, 8), ("a.vasp", 2.4824, 8)])
def test_a_crystal_from_a_structure_file(tmp_path, name, distance, neighbours):
    ase.io.write(tmp_path / name, bulk("Fe", "bcc", a=2.8665, cubic=True))
    as_it_is = Crystal(str(tmp_path / name), [2, 3, 4], density=None)
    config = as_it_is.sample(np.random.default_rng(0))
    assert config.n_sites == 48
    assert np.allclose(config.cell, np.diag([2, 3, 4]) * 2.8665)
    r = bonds(config, 2.6)
    assert len(r) == 48 * neighbours
    assert np.allclose(r, distance, atol=1e-4)
    scaled = Crystal(str(tmp_path / name), 2).sites
    assert abs(np.linalg.det(scaled.cell)) == pytest.approx(scaled.n_sites)
    assert np.allclose(Crystal(str(tmp_path / name), 2, lattice_constant=1.0).sites.cell, 2 * np.eye(3))
    assert as_it_is.enlarged(2).cells == (4, 3, 4)
    assert DilutedLattice(str(tmp_path / name), 3, vacancies=0.5).sample(np.random.default_rng(0)).n_sites == 27
    moved = DisplacedLattice(str(tmp_path / name), 3, width=0.05).sample(np.random.default_rng(0))
    assert np.ptp(moved.positions, axis=0).min() > 2


def test_a_layer_is_repeated_in_its_plane(tmp_path):
    layer = Atoms("CoPt", positions=[[0, 0, 3], [1.4, 1.4, 3]], cell=[2.8, 2.8, 6], pbc=[True, True, False])
    ase.io.write(tmp_path / "layer.xyz", layer, format="extxyz")
    crystal = Crystal(str(tmp_path / "layer.xyz"), [3, 2], density=0.5)
    assert crystal.sites.pbc.tolist() == [True, True, False]
    assert crystal.sites.species.tolist() == [0, 1] * 6
    assert np.linalg.det(crystal.sites.cell[:2, :2]) == pytest.approx(24)
    moved = DisplacedLattice(str(tmp_path / "layer.xyz"), [3, 2], width=0.1).sample(np.random.default_rng(0))
    assert np.allclose(np.ptp(moved.positions[:, 2]), 0)


def test_the_content_can_be_part_of_the_definition(frames, tmp_path):
    path = frames[0]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    Amorphous(str(path), sha256=digest)
    path.write_text(path.read_text().replace("Fe", "Mn"))
    with pytest.raises(DatasetError, match=rf"melt.xyz: its SHA-256 is .* but {digest} is asked for"):
        Amorphous(str(path), sha256=digest)


class Payload:
    def __reduce__(self):
        return (exec, ("raise SystemExit('ran')",))


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


SITES = np.zeros((2, 3, 3)) + np.arange(3)[:, None]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("no.npz", None, "no such file"),
        ("text.npz", b"hello", "damaged or something else"),
        ("empty.npz", b"", "damaged or something else"),
        ("cut.npz", npz(positions=SITES, cell=np.eye(3))[:150], "damaged or something else"),
        ("torn.npz", npz(positions=SITES, cell=np.eye(3)).replace(np.float64(2).tobytes(), b"01234567"), "damaged"),
        ("array.npz", npy(SITES), "damaged or something else"),
        ("pickle.npz", pickle.dumps(Payload()), "damaged or something else"),
        ("object.npz", npz(positions=np.array([Payload()], object), cell=np.eye(3)), "damaged or something else"),
        ("other.npz", npz(coords=SITES), "no array positions and no cell"),
        ("bare.npz", npz(positions=SITES), "no array cell"),
        ("flat.npz", npz(positions=SITES[..., :2], cell=np.eye(3)), r"positions: expected shape \(F, N, 3\)"),
        ("cells.npz", npz(positions=SITES, cell=np.ones((5, 3, 3))), "cell has shape .* with 2 frames"),
        ("none.npz", npz(positions=SITES[:0], cell=np.eye(3)), "holds no structure"),
        ("nan.npz", npz(positions=SITES * np.nan, cell=np.eye(3)), "frame 0: positions: .* is not finite"),
        ("words.npz", npz(positions=SITES.astype(str), cell=np.full((3, 3), "x")), "frame 0"),
        ("thin.npz", npz(positions=SITES, cell=np.zeros((3, 3))), "frame 0: cell has zero volume"),
        ("kinds.npz", npz(positions=SITES, cell=np.eye(3), species=[0.5, 1, 2]), "frame 0: species"),
        ("text.xyz", b"hello\nworld\n", "ASE cannot read it"),
        ("cut.cif", b"data_x\n_cell_length_a 3\n", "holds no structure"),
        ("code.pckl", pickle.dumps(Payload()), "ASE cannot read it"),
        ("strange.abc", b"\x00\x01", "ASE cannot read it"),
    ],
)
def test_files_that_are_something_else(tmp_path, name, content, says):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=says) as caught:
        Amorphous(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(DatasetError, match=says):
        Crystal(str(path))


def test_structures_that_do_not_fit(frames, tmp_path):
    with pytest.raises(InputError, match="holds 3 structures, a crystal needs one"):
        Crystal(str(frames[0]))
    ase.io.write(tmp_path / "cluster.xyz", Atoms("Fe2", positions=[[0, 0, 0], [0, 0, 2]]), format="extxyz")
    path = str(tmp_path / "cluster.xyz")
    with pytest.raises(InputError, match="no periodic direction, so it cannot be repeated"):
        Crystal(path)
    with pytest.raises(InputError, match="no periodic direction and so no density"):
        Amorphous(path)
    cluster = Amorphous(path, density=None).sample(np.random.default_rng(0))
    assert bonds(cluster, 3).tolist() == [2, 2]
    with pytest.raises(DatasetError, match="no such file"):
        Crystal("missing.cif")
