"""How far torques hang on mu: nothing at fixed mu, and the numbers are those of the potential."""

from __future__ import annotations

import numpy as np
import pytest
from mu_spread import configurations, main

from mhipnn import SDModel


def test_configurations_are_those_of_the_track():
    potential, configs = configurations("sd_double_exchange", None, 2)
    assert isinstance(potential, SDModel)
    assert (potential.J, potential.filling) == (6.0, 0.7)
    assert [config.n_sites for config in configs] == [100, 100]
    assert not np.allclose(configs[0].positions, configs[1].positions)


def test_the_table(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["mu_spread.py", "--data", "sd_tiny", "--configurations", "2"])
    main()
    printed = capsys.readouterr().out
    potential, configs = configurations("sd_tiny", None, 2)
    mu = [potential.evaluate(config, forces=False).mu for config in configs]
    assert f"{np.mean(mu):.4f}" in printed
    assert float(printed.split("at the mean")[1].split()[1]) == pytest.approx(0, abs=0.1)
