"""A model of a package of its own: the entry point in pyproject.toml names this module, and it registers."""

from __future__ import annotations

from mhipnn.registry import register

register("model", "toy", "mhipnn_plugin_toy_model.Toy", config={"cutoff": 2.0, "decay": 1.0})
