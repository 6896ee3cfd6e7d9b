"""Every check stands alone, every problem has a remedy, and the exit code says whether a model could run."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from diffucli import doctor
from diffucli.cli.app import run
from diffucli.doctor import CLASSES, Check, Finding, examine, isolated, speed
from diffucli.errors import ModelError
from diffucli.model import memory, nf4, registry
from diffucli.model.config import Config
from diffucli.model.registry import Entry


@pytest.fixture
def house(golden, tmp_path, monkeypatch):
    """Folders of our own, and the golden checkpoint as the one that runs."""
    monkeypatch.setenv("DIFFU_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DIFFU_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(registry, "find", lambda _: Entry("golden", golden, embedded=False))
    return tmp_path


def found(house) -> dict[str, Finding]:
    return {finding.name: finding for finding, _ in examine()}


def test_a_sound_machine_is_ready(house, capfd):
    assert run(["doctor"]) == 0
    out = capfd.readouterr().out
    assert "golden runs here: unpacked on" in out
    assert out.endswith("ready\n")


def test_json_says_the_same(house, capfd):
    assert run(["doctor", "--json"]) == 0
    value = json.loads(capfd.readouterr().out)
    assert (value["schema"], value["status"]) == ("diffu.doctor/1", 0)
    names = [finding["name"] for finding in value["findings"]]
    assert names[:3] == ["python", "torch", "gpu"]
    assert names[-1] == "model"
    assert {"torch", "transformers"} <= value["packages"].keys()


def test_without_a_model_that_runs_the_exit_code_is_one(house, monkeypatch, capfd):
    def gone(_):
        raise ModelError("there is no model", hint="pull one")

    monkeypatch.setattr(registry, "find", gone)
    assert run(["doctor"]) == 1
    out = capfd.readouterr().out
    assert "there is no model" in out
    assert "→ pull one" in out


def test_a_model_that_does_not_fit_is_said_with_the_numbers(house, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda _: 1000)
    finding = found(house)["model"]
    assert finding.verdict == "bad"
    assert "are free on" in finding.text
    assert finding.remedy


@pytest.mark.parametrize(
    "error", [ImportError("libcudart.so"), OSError("x"), RuntimeError(""), SystemExit(3), KeyError("k")]
)
def test_a_check_that_breaks_is_a_finding_with_a_remedy(error):
    def look() -> Finding:
        raise error

    finding = isolated(Check("x", look, remedy="mend it"))
    assert (finding.verdict, finding.remedy) == ("bad", "mend it")
    assert type(error).__name__ in finding.text


def test_every_check_that_breaks_leaves_the_others(house, monkeypatch):
    """Whatever is broken: as many findings, each bad one with a remedy."""
    names = set(found(house))
    for broken in ("_torch", "_gpu", "_four_bits", "_training", "_grammars", "_model", "_disk"):
        with monkeypatch.context() as patch:
            patch.setattr(doctor, broken, lambda: (_ for _ in ()).throw(ImportError("broken")))
            findings = found(house)
        bad = [finding for finding in findings.values() if finding.verdict == "bad"]
        assert len(findings) == len(names)
        assert len(bad) == 1
        assert all(finding.remedy for finding in bad)


CHILD = """
import sys
for name in sys.argv[1:]:
    sys.modules[name] = None
from diffucli.cli.app import run
print("code", run(["doctor"]))
"""


@pytest.mark.parametrize("module", ["torch", "bitsandbytes", "tree_sitter_rust", "transformers"])
def test_a_library_that_cannot_be_imported_hides_nothing(module):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, module], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stderr == ""
    assert "✗" in done.stdout or "no bitsandbytes" in done.stdout
    for name in ("python", "memory", "terminal", "disk", "model"):
        assert f" {name} " in done.stdout
    assert "Traceback" not in done.stdout


def test_a_product_that_is_wrong_is_found(house, monkeypatch):
    pytest.importorskip("bitsandbytes")
    for error in (0.9, float("nan")):
        monkeypatch.setattr(nf4, "product_error", lambda _, error=error: error)
        assert found(house)["four bits"].verdict == "bad"


def test_a_real_product_in_four_bits_is_near(house):
    pytest.importorskip("bitsandbytes")
    import torch

    assert 0.01 < nf4.product_error(torch.device("cpu")) < doctor.TOLERANCE


def test_a_folder_that_cannot_be_written_is_found(house, monkeypatch):
    (house / "home").write_text("a file where a folder should be")
    finding = found(house)["models"]
    assert finding.verdict == "bad"
    assert "DIFFU_HOME" in finding.remedy


def test_folders_have_sizes(house):
    (house / "state" / "undo").mkdir(parents=True)
    (house / "state" / "undo" / "x").write_bytes(bytes(3_000_000))
    assert "3.0 MB" in found(house)["undo"].text


def test_little_disk_is_found(house, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    assert "1.0 GB free" in found(house)["disk"].text


def test_a_gpu_that_torch_cannot_use_is_found(house, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(doctor.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    assert doctor._gpu().verdict == "bad"


@pytest.mark.parametrize(
    ("device", "quant", "offloaded"),
    [("cpu", "nf4", 0), ("cuda", "none", 0), ("cuda:1", "none", 4), ("mps", "none", 0)],
)
@pytest.mark.parametrize("hidden", [64, 4096])
def test_every_plan_has_a_speed(device, quant, offloaded, hidden):
    made = memory.Plan(device, quant, 1, 1, 1, 1, None, offloaded)
    assert speed(made, Config(64, hidden, 64, 2, 4, 2)) in CLASSES.values()
