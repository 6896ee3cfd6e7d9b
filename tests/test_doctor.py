"""Every check stands alone, every problem has a remedy, and the exit code says whether a model could run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import constants

from diffucli import doctor
from diffucli.cli.app import run
from diffucli.doctor import CLASSES, Finding, Probe, examine, isolated, speed
from diffucli.errors import ModelError, UsageError
from diffucli.model import memory, nf4, registry
from diffucli.model.config import Config
from diffucli.model.registry import Entry
from diffucli.syntax import tools


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
    assert names[-2:] == ["model", "advice"]
    assert {"torch", "transformers"} <= value["packages"].keys()


def test_without_a_model_that_runs_the_exit_code_is_one(house, monkeypatch, capfd):
    def gone(_):
        raise ModelError("there is no model", hint="pull one")

    monkeypatch.setattr(registry, "find", gone)
    assert run(["doctor"]) == 1
    out = capfd.readouterr().out
    assert "there is no model" in out
    assert "→ pull one" in out


def test_how_generated_code_is_confined_is_told_and_what_to_do_if_it_is_not(house, monkeypatch):
    monkeypatch.setattr("diffucli.sandbox.strongest", lambda: "namespaces")
    assert found(house)["sandbox"] == Finding("sandbox", "ok", "code of `diffu eval` is confined by namespaces")

    def none():
        raise UsageError("nothing confines it", hint="install bubblewrap")

    monkeypatch.setattr("diffucli.sandbox.strongest", none)
    assert found(house)["sandbox"] == Finding("sandbox", "note", "nothing confines it; install bubblewrap")


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

    finding = isolated(Probe("x", look, remedy="mend it"))
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
    assert "✗" in done.stdout or "bitsandbytes cannot be used" in done.stdout
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


@pytest.mark.parametrize("token", ["", "hf_mine"])
def test_the_way_to_the_hub_is_told_without_going_it(house, monkeypatch, token):
    monkeypatch.setattr(constants, "ENDPOINT", "https://mirror.invalid")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(house / "token"))
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setenv("HTTPS_PROXY", "http://me:geheim@proxy.invalid:3128")
    finding = doctor._hub()
    assert finding.verdict == "note"
    assert finding.text.startswith(f"https://mirror.invalid, {'with a' if token else 'without a'} token, through ")
    assert "HTTPS_PROXY" in finding.text
    assert finding.text.endswith(", HF_HUB_OFFLINE is set (not asked)")
    assert "geheim" not in finding.text
    assert "hf_mine" not in finding.text


def test_a_setting_of_the_hub_that_cannot_work_stops_no_model(monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "mirror.invalid")
    (probe,) = (probe for probe in doctor.probes() if probe.name == "hub")
    finding = isolated(probe)
    assert (finding.verdict, probe.vital, "HF_ENDPOINT is no address" in finding.text) == ("bad", False, True)


def test_little_disk_is_found(house, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    assert "1.0 GB free" in found(house)["disk"].text


def test_enough_disk_is_no_trouble(house, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=doctor.LOW_DISK))
    assert found(house)["disk"].verdict == "ok"


def test_folders_that_do_not_exist_yet_are_no_trouble(house):
    findings = found(house)
    for name, folder in (("models", "home"), ("settings", None), ("undo", "state/undo")):
        assert findings[name].verdict == "note" or name == "settings"
        assert folder is None or f"{house / folder}" in findings[name].text
        assert name == "settings" or findings[name].text.endswith("(nothing yet)")


def test_the_folders_of_the_report_are_those_that_are_used(house):
    assert doctor.folders()["undo"] == house / "state" / "undo"
    assert doctor.folders()["models"].is_relative_to(house / "home")


def test_an_old_python_is_found(monkeypatch):
    monkeypatch.setattr(doctor.sys, "version_info", (3, 10, 12))
    assert (doctor._python().verdict, doctor._python().remedy) == ("bad", "install Python 3.11 or newer")
    monkeypatch.setattr(doctor.sys, "version_info", (3, 11, 0))
    assert doctor._python().verdict == "ok"


def test_grammars_that_are_missing_are_named_with_their_packages_once(monkeypatch):
    missing = {"typescript", "tsx", "go"}
    monkeypatch.setattr("diffucli.syntax.languages.grammar", lambda language: None if language.name in missing else 1)
    finding = doctor._grammars()
    assert finding.text == "no grammar for typescript, tsx, go: these languages are not checked"
    assert finding.remedy == "pip install tree-sitter-typescript tree-sitter-go"


def test_a_gpu_is_named_with_its_free_memory(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda i: f"Card {i}")
    monkeypatch.setattr(memory, "free_memory", lambda device: {"cuda:0": 8 * 10**9, "cuda:1": 0}[device])
    finding = doctor._gpu()
    assert finding.verdict == "ok"
    assert "Card 0 (8.0 GB free), Card 1 (0 B free)" in finding.text


def test_without_a_gpu_the_cpu_is_said(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)
    assert (doctor._gpu().verdict, doctor._gpu().text) == ("note", "none that torch can use; models run on the CPU")


@pytest.mark.parametrize(
    ("encoding", "verdict"),
    [("utf-8", "ok"), ("ascii", "note"), ("cp1252", "note"), ("nonsense", "note"), (None, "note")],
)
def test_a_terminal_without_the_glyphs_is_found(monkeypatch, encoding, verdict):
    monkeypatch.setattr(doctor.sys, "stderr", SimpleNamespace(encoding=encoding, isatty=lambda: True))
    monkeypatch.setenv("TERM", "vt100")
    finding = doctor._terminal()
    assert finding.verdict == verdict
    assert finding.text.startswith(f"{encoding or 'ascii'}, TERM=vt100")


def test_only_vital_checks_stop_the_model(house, monkeypatch):
    def broken() -> Finding:
        raise ImportError("broken")

    for name, stops in (("_torch", True), ("_model", True), ("_grammars", False), ("_disk", False)):
        with monkeypatch.context() as patch:
            patch.setattr(doctor, name, broken)
            assert any(stop for _, stop in examine()) is stops


def test_a_plan_is_described_in_one_line():
    plan = memory.Plan("cuda:0", "nf4", 10**9, 10**9, 10**9, 10**9, None, 3)
    text = doctor.describe(plan)
    assert text.startswith("in four bits on cuda:0, 3 layers in main memory, ")
    assert text.endswith(" of memory")
    assert doctor.describe(memory.Plan("cpu", "none", 1, 1, 1, 1, None, 0)).startswith("unpacked on cpu, ")


@pytest.mark.parametrize(
    ("device", "quant", "offloaded", "hidden", "word"),
    [
        ("cuda", "nf4", 0, 4096, "good"),
        ("cuda", "none", 0, 4096, "fast"),
        ("cuda", "nf4", 2, 4096, "slow"),
        ("cuda", "none", 0, 64, "instant"),
        ("cpu", "none", 0, 64, "quick"),
        ("cpu", "nf4", 0, 4096, "very slow"),
    ],
)
def test_the_speed_class_follows_the_plan(device, quant, offloaded, hidden, word):
    plan = memory.Plan(device, quant, 1, 1, 1, 1, None, offloaded)
    assert speed(plan, Config(64, hidden, 64, 2, 4, 2)).startswith(f"{word}:")


def test_packages_that_are_not_installed_are_left_out(monkeypatch):
    def version(name):
        if name == "accelerate":
            raise doctor.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(doctor, "version", version)
    assert doctor.packages()["torch"] == "1.0"
    assert "accelerate" not in doctor.packages()


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
    made = memory.Plan(device, quant, 1, 1, 1, 1, 9, offloaded)
    assert speed(made, Config(64, hidden, 64, 2, 4, 2)) in CLASSES.values()


def test_the_readme_installs_a_torch_that_the_package_takes():
    root = Path(__file__).parents[1]
    (cap,) = re.findall(r'"torch>=[0-9.]+,(<[0-9.]+)"', (root / "pyproject.toml").read_text())
    assert f'install -q "torch{cap}" --index-url' in (root / "README.md").read_text()


def test_the_programs_that_judge_texts_are_listed(monkeypatch):
    monkeypatch.setattr(tools, "find", lambda program: f"/usr/bin/{program}" if program in {"bash", "cc"} else None)
    (probe,) = (probe for probe in doctor.probes() if probe.name == "verdicts")
    found = probe.look()
    assert found.verdict == "ok"
    assert "asked beside tree-sitter: /usr/bin/bash, /usr/bin/cc; not here: sh, zsh, gofmt, c++, node" in str(found)
