"""What mhipnn itself registers: one table, import paths only, so that listing it loads nothing heavy."""

from __future__ import annotations

BUILTINS: tuple[tuple[str, str, str], ...] = (
    # kind, name, import path
    ("model", "mhip", "mhipnn.nn.mhip.MHIP"),
    ("model", "heisenberg", "mhipnn.nn.heisenberg.Heisenberg"),
    ("dataset", "labelled", "mhipnn.data.datamodule.SpinDataModule"),
    ("structure", "random_sites", "mhipnn.structures.disorder.RandomSites"),
    ("structure", "crystal", "mhipnn.structures.crystal.Crystal"),
    ("structure", "displaced_lattice", "mhipnn.structures.crystal.DisplacedLattice"),
    ("structure", "diluted_lattice", "mhipnn.structures.crystal.DilutedLattice"),
    ("structure", "amorphous", "mhipnn.structures.amorphous.Amorphous"),
    ("sampler", "random_spins", "mhipnn.structures.spins.RandomSpins"),
    ("sampler", "ordered", "mhipnn.structures.ordered.OrderedSpins"),
    ("sampler", "boltzmann", "mhipnn.structures.boltzmann.BoltzmannSpins"),
    ("sampler", "quench_snapshots", "mhipnn.dynamics.sampling.QuenchSnapshots"),
    ("sampler", "learned_quench", "mhipnn.dynamics.sampling.LearnedQuench"),
    ("exchange", "exponential", "mhipnn.structures.exchange.ExponentialExchange"),
    ("exchange", "shells", "mhipnn.structures.exchange.ShellExchange"),
    ("hopping", "exponential", "mhipnn.electrons.hopping.ExponentialHopping"),
    ("hopping", "gaussian", "mhipnn.electrons.hopping.GaussianHopping"),
    ("hopping", "power_law", "mhipnn.electrons.hopping.PowerLawHopping"),
    ("hopping", "shells", "mhipnn.electrons.hopping_shells.ShellHopping"),
    ("potential", "sd_model", "mhipnn.electrons.sd_model.SDModel"),
    ("potential", "network", "mhipnn.nn.checkpoint.load_potential"),
    ("dynamics", "quench", "mhipnn.dynamics.quench.Quench"),
    ("integrator", "heun", "mhipnn.dynamics.integrators.Heun"),
    ("integrator", "rk4", "mhipnn.dynamics.integrators.RK4"),
    ("loss", "torque", "mhipnn.training.loss.Torque"),
    ("loss", "energy", "mhipnn.training.loss.Energy"),
    ("loss", "field", "mhipnn.training.loss.Field"),
    ("loss", "forces", "mhipnn.training.loss.Forces"),
    ("loss", "hierarchicality", "mhipnn.training.loss.Hierarchicality"),
    ("callback", "llg_rollout", "mhipnn.training.rollout.LLGRollout"),
)
