"""The hand-written fields of mhip_ts and mhip_eq at frozen sites against autograd."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mhipnn.nn.mhip_eq import MHIPEQ
from mhipnn.nn.mhip_ts import MHIPTS
from mhipnn.nn.network_potential import NetworkPotential
from mhipnn.structures import random_sites
from mhipnn.threads import torch_threads

CLOSE = {torch.float64: 1e-12, torch.float32: 1e-5}
SMALL = {"n_features": 5, "n_sensitivities": 4, "n_onsite": 1, "n_vectors": 3}
OPTIONS = [
    (MHIPTS, {}),
    (MHIPTS, {**SMALL, "spin_rank": 2, "bond_rank": 3, "n_interactions": 3, "n_onsite": 0}),
    (MHIPTS, {**SMALL, "bond_rank": 0, "l_max": 0, "n_interactions": 1}),
    (MHIPTS, {**SMALL, "spin_rank": 2, "bond_rank": 0, "n_species": 2, "pair_sensitivities": True}),
    (MHIPTS, {**SMALL, "bond_rank": 1, "n_vectors": 17}),
    (MHIPEQ, {}),
    (MHIPEQ, {**SMALL, "spin_rank": 2, "bond_rank": 3, "n_interactions": 3, "n_carried": 2}),
    (MHIPEQ, {**SMALL, "bond_rank": 0, "n_carried": 5, "n_species": 2}),
    (MHIPEQ, {**SMALL, "bond_rank": 1, "n_interactions": 3, "shared_mu": True}),
]


def frozen(kind, options, configs, dtype):
    torch.manual_seed(0)
    model = kind(**options).in_precision(dtype)
    with torch.no_grad():
        for parameter in model.parameters():  # no bias stays zero
            parameter += 0.02 * torch.randn_like(parameter)
    configs = [replace(c, species=np.arange(c.n_sites) % model.n_species) for c in configs]
    network = NetworkPotential(model).prepare(configs)
    spins = np.concatenate([config.spins for config in configs])
    return network, torch.from_numpy(spins).to(dtype)[network._order]


def require_equal(network, spins, dtype):
    assert network._compiled is not None
    for found, wanted in zip(network._compiled(spins), network._by_autograd(spins), strict=True):
        scale = max(float(wanted.abs().max()), 1.0)
        torch.testing.assert_close(found, wanted, rtol=0, atol=CLOSE[dtype] * scale)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", list(CLOSE))
@pytest.mark.parametrize(("kind", "options"), OPTIONS)
def test_compiled_fields_are_those_of_autograd(kind, options, dtype, threads):
    network, spins = frozen(kind, {"cutoff": 2.5, **options}, [random_sites(150, 2, rng=3)], dtype)
    with torch_threads(threads):
        for _ in range(2):  # buffers are used again
            require_equal(network, spins, dtype)
            spins = torch.nn.functional.normalize(spins + 0.3, dim=-1)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 40), st.integers(1, 3), st.sampled_from([0.3, 1.0, 2.0]), st.integers(0, 99))
def test_any_number_of_sites_replicas_and_neighbours(n_sites, n_replicas, cutoff, seed):
    rng = np.random.default_rng(seed)
    configs = [random_sites(40, 2, rng=rng).take(np.arange(n_sites)) for _ in range(n_replicas)]
    options = {"cutoff": cutoff, "r_inner": 0.2, "shared_mu": bool(seed % 2), **SMALL}
    network, spins = frozen(MHIPEQ, options, configs, torch.float64)
    require_equal(network, spins, torch.float64)


@pytest.mark.parametrize(
    "options", [{"spin_length": True}, {"separate_sensitivities": True}, {"n_species": 2, "magnetic": [True, False]}]
)
def test_what_is_not_written_by_hand_is_left_to_autograd(options):
    network, _ = frozen(MHIPTS, {"cutoff": 1.5, **SMALL, **options}, [random_sites(24, 2, rng=0)], torch.float64)
    assert network._compiled is None
