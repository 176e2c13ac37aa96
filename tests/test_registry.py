from __future__ import annotations

import copy
import inspect
import logging
import subprocess
import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from mhipnn import registry
from mhipnn.builtins import BUILTINS, CONFIGS
from mhipnn.config import compose_config
from mhipnn.errors import ConfigError


class Toy:
    pass


class Other:
    pass


@pytest.fixture(autouse=True)
def _clean_registry(monkeypatch):
    """Each test has the built-ins alone, and leaves Hydra's store as it was."""
    Plugins.instance()  # Hydra's own, and our built-ins, enter the store at their first use and must outlive this test
    registry.load_plugins()
    store = ConfigStore.instance()
    before = copy.deepcopy(store.repo)
    mine = {key: entry for key, entry in registry._entries.items() if entry.package == "mhipnn"}
    monkeypatch.setattr(registry, "_entries", mine)
    monkeypatch.setattr(registry, "_plugins_loaded", True)
    yield
    store.repo = before


def load(monkeypatch, **plugins):
    """Load functions as if each were the entry point of an installed package ``its-<name>``."""
    module = SimpleNamespace(**plugins)
    monkeypatch.setitem(sys.modules, "fake_plugins", module)

    class Point(EntryPoint):
        @property
        def dist(self):
            return SimpleNamespace(name=f"its-{self.name}")

    points = [Point(name, f"fake_plugins:{name}", registry.PLUGIN_GROUP) for name in reversed(plugins)]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    monkeypatch.setattr(registry, "_plugins_loaded", False)
    registry.load_plugins()


@pytest.mark.parametrize(("kind", "name", "target"), BUILTINS)
def test_every_builtin_resolves(kind, name, target):
    resolved = registry.get(kind, name)
    assert callable(resolved)
    if isinstance(resolved, type):
        assert registry.name_of(kind, resolved) == name


def test_listing_imports_nothing_heavy():
    code = (
        "import sys; from mhipnn import registry; assert len(registry.entries()) >= 13; "
        "heavy = {'torch', 'lightning', 'wandb', 'torch_geometric'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_register_by_class_by_path_and_as_decorator():
    registry.register("model", "by_class", Toy)
    registry.register("model", "by_path", f"{Other.__module__}.Other")

    assert registry.register("callback", "decorated")(Toy) is Toy
    assert registry.get("model", "by_class") is Toy
    assert registry.get("model", "by_path") is Other
    assert "decorated" in registry.names("callback")
    assert registry.name_of("model", Other) == "by_path"


def test_local_class_has_no_import_path():
    class Local:
        pass

    with pytest.raises(ConfigError, match="not an import path"):
        registry.register("model", "local", Local)


def test_duplicates_name_both_packages():
    registry.register("model", "twice", "first_package.Model")
    with pytest.raises(ConfigError, match=r"'twice' of package 'second_package'.*by package 'first_package'"):
        registry.register("model", "twice", "second_package.Model")
    with pytest.raises(ConfigError, match="already registered by package 'mhipnn'"):
        registry.register("model", "mhip", Toy)
    registry.register("loss", "mhip", Toy)  # another kind is another name


def test_the_same_thing_again_is_no_duplicate():
    registry.register("model", "again", Toy)
    registry.register("model", "again", Toy)
    assert registry.names("model").count("again") == 1


def test_unknown_names_list_near_matches():
    with pytest.raises(ConfigError, match="unknown model 'mhipp': did you mean 'mhip'"):
        registry.get("model", "mhipp")
    with pytest.raises(ConfigError, match="unknown kind 'modle': did you mean 'model'"):
        registry.get("modle", "mhip")
    with pytest.raises(ConfigError, match=r"Toy is not a registered model"):
        registry.name_of("model", Toy)


def test_a_target_that_does_not_import_is_told_with_its_package():
    registry.register("model", "ghost", "no_such_package.Model")
    with pytest.raises(ConfigError, match="'ghost' of package 'no_such_package' cannot be imported"):
        registry.get("model", "ghost")


def test_plugins_load_in_order_with_the_package_that_registered(monkeypatch):
    order = []

    def second():
        order.append("second")
        registry.register("model", "b", Toy)

    def first():
        order.append("first")
        registry.register("model", "a", Toy)

    load(monkeypatch, first=first, second=second)
    registry.load_plugins()
    assert order == ["first", "second"]
    assert {e.name: e.package for e in registry.entries() if e.kind == "model" and e.package != "mhipnn"} == {
        "a": "its-first",
        "b": "its-second",
    }


def test_a_broken_plugin_costs_one_warning_and_nothing_else(monkeypatch, caplog):
    def broken():
        registry.register("model", "half", Toy)
        raise RuntimeError("no GPU\nhere")

    def duplicate():
        registry.register("model", "mhip", Toy)

    def healthy():
        registry.register("model", "fine", Toy)

    with caplog.at_level(logging.WARNING):
        load(monkeypatch, broken=broken, duplicate=duplicate, healthy=healthy)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    texts = [record.getMessage() for record in caplog.records]
    assert "'broken'" in texts[0]
    assert "'its-broken'" in texts[0]
    assert texts[0].endswith("no GPU here")
    assert "already registered by package 'mhipnn'" in texts[1]
    assert "fine" in registry.names("model")
    assert "half" not in registry.names("model")
    assert registry.get("model", "fine") is Toy


def test_a_registered_name_composes(scratch_conf):
    registry.register("model", "toy", Toy, config={"width": 3})
    registry.register("loss", "mine", Other, config={"weight": 2.0})
    registry.register("integrator", "leap", Toy)
    cfg = compose_config("train", ["model=toy", "model.width=4", "loss=[first,mine]", "dynamics/integrator=leap"])
    assert cfg.model == {"_target_": f"{__name__}.Toy", "width": 4}
    assert cfg.loss.mine == {"_target_": f"{__name__}.Other", "weight": 2.0}
    assert "first" in cfg.loss
    assert cfg.dynamics.integrator == {"_target_": f"{__name__}.Toy"}


def test_published_builtins_list_every_argument():
    """What the command line may set is what the class takes, with its own defaults but for a few chosen ones."""
    for (kind, name), config in CONFIGS.items():
        parameters = inspect.signature(registry.get(kind, name)).parameters.values()
        assert set(config) == {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}, name
