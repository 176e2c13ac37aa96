"""The accuracy page shows what its file of results holds, and nothing else."""

import json
import re

import accuracy_page
import pytest
from accuracy_page import PAGE, RESULTS, Rows, page

from mhipnn.errors import InputError


@pytest.fixture
def rows():
    return Rows.read(RESULTS)


def row(r2, finished="2026-01-01T00:00:00+00:00", **overrides):
    return {"overrides": {"seed": "0", **overrides}, "metrics": {"test/torque_r2": r2}, "finished": finished}


def test_the_page_is_what_its_rows_make(rows):
    text = PAGE.read_text(encoding="utf-8")
    assert set(re.findall("<!-- table: (.+?) -->", text)) == set(accuracy_page.TABLES)
    assert page(text, rows) == text


def test_a_changed_row_changes_the_page(rows):
    text = PAGE.read_text(encoding="utf-8")
    entry = rows.of("data=sd_disorder_3d model.cutoff=2.6 model=mhip_eq trainer.max_epochs=8")
    assert f"{entry.mean('test/torque_r2'):.4f}" in text
    entry.rows[0]["metrics"]["test/torque_r2"] = 0.12345
    changed = page(text, rows)
    assert "| sd_disorder_3d | `mhip_eq` | 0.1235 |" in changed
    assert len(changed.splitlines()) == len(text.splitlines())


def test_the_last_of_equal_trainings_counts_whatever_the_order_of_its_overrides():
    early, late = row(0.5, model="mhip", data="x"), row(0.6, "2026-02-01T00:00:00+00:00", data="x", model="mhip")
    for given in ([early, late], [late, early]):
        assert Rows(given).of("model=mhip data=x").mean("test/torque_r2") == 0.6


def test_seeds_are_averaged_with_their_spread():
    seeds = [row(value, model="mhip", data="x") for value in (0.5, 0.7)]
    seeds[1]["overrides"]["seed"] = "1"
    assert Rows(seeds).of("data=x model=mhip", (0, 1)).cell("test/torque_r2", ".4f") == "0.6000(1414)"


def test_what_is_missing_is_named(rows):
    with pytest.raises(InputError, match=r"no row of 'data=sd_disorder model=mhip', seeds \[0, 7\]"):
        rows.of("data=sd_disorder model=mhip", (0, 7))
    with pytest.raises(InputError, match="no table 'colours'; there are models"):
        page("<!-- table: colours -->\n<!-- end -->", rows)


def test_rows_of_a_folder_are_taken_over(tmp_path, monkeypatch, rows):
    folder, results, text = tmp_path / "rows", tmp_path / "results" / "accuracy.jsonl", tmp_path / "page.md"
    folder.mkdir()
    for number, one in enumerate(rows.rows.values()):
        (folder / f"{number}.json").write_text(json.dumps(one | {"history": []}))
    text.write_text("before\n\n<!-- table: trials -->\n<!-- end -->\n\nafter\n")
    monkeypatch.setattr(accuracy_page, "RESULTS", results)
    monkeypatch.setattr(accuracy_page, "PAGE", text)
    monkeypatch.setattr(accuracy_page, "FIGURE", tmp_path / "models.png")
    assert accuracy_page.main([str(folder)]) == 0
    assert results.read_text() == RESULTS.read_text()
    assert "| sd_disorder | " in text.read_text()
    assert accuracy_page.main([]) == 0
    assert results.read_text() == RESULTS.read_text()
