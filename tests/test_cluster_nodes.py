"""What makes a node of a cluster of no use is told in words."""

import warnings
from importlib.metadata import version

import pytest

from cplxsep.cluster import worker
from cplxsep.errors import InputError, tell


@pytest.fixture
def hired(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        yield worker.Worker()


def test_a_node_that_is_as_it_should_be(hired, tmp_path):
    (tmp_path / "there").write_text("")
    assert hired.greet(str(tmp_path), tmp_path / "there", version("cplxsep")) is None


def test_storage_that_a_node_does_not_see(hired, tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "LATE", 0.1)
    own = version("cplxsep")
    assert "does not see the folder" in hired.greet(str(tmp_path / "not"), None, own)
    assert "use shared storage" in hired.greet(str(tmp_path), tmp_path / "out" / "new", own)


def test_a_node_with_another_release(hired, tmp_path):
    assert "has cplxsep" in hired.greet(str(tmp_path), None, "9.9")


def test_notes_and_errors_for_people_come_back(hired, monkeypatch):
    class Ref:
        def hex(self):
            return "1"

    def work(item):
        tell(f"a note on {item}")
        raise InputError("cannot")

    class Ray:
        get = staticmethod(lambda _ref: work)

    monkeypatch.setattr(worker.importlib, "import_module", lambda _name: Ray)
    result, error, notes = hired.work([Ref()], "__call__", "a.wav")
    assert (result, str(error), notes) == (None, "cannot", ["a note on a.wav"])
