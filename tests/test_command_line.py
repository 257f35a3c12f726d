"""The command line: parses, helps at once, and hands its arguments to the functions that do the work."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.__main__ import Question, app
from bench.core.errors import UserError
from bench.core.shipped import shipped

REPOSITORY = Path(__file__).resolve().parents[1]
COMMANDS = [
    "run",
    "plan",
    "tune",
    "commands",
    "conformance",
    "task",
    "sample",
    "publish",
    "papers",
    "rehearse",
    "cost",
    "chaos",
    "docs",
    "weights",
]
CPU_SECONDS = 0.5


def call(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def snakemake(monkeypatch) -> list[list[str]]:
    """The command lines that would have been started, in place of starting them."""
    started: list[list[str]] = []

    def note(command, **_):
        started.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", note)
    return started


def test_help_names_every_command():
    result = call("--help")
    assert result.exit_code == 0
    assert all(f"  {command} " in result.output for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    result = call(command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_help_comes_at_once_and_imports_nothing_heavy():
    code = (
        "import sys, time; from bench.__main__ import app; from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "assert not {'torch', 'numpy', 'pandas', 'snakemake'} & set(sys.modules), sys.modules.keys()\n"
        "print(time.process_time())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < CPU_SECONDS


def test_installed_command_is_this_one():
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"posterior-bench": "bench.__main__:main"}


def test_run_calls_snakemake_with_suite_profile_and_further_options(snakemake, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    assert call("run", "smoke", "--cores", "3", "--forceall").exit_code == 0
    (command,) = snakemake
    assert command[1:5] == ["-m", "snakemake", "all", "--cores"]
    assert command[5] == "3"
    assert "suite=config/smoke.yaml" in command
    assert command[command.index("--workflow-profile") + 1] == "profiles/default"
    assert command[-1] == "--forceall"


def test_run_leaves_another_profile_to_the_user(snakemake):
    call("run", "smoke", "--workflow-profile", "mine")
    (command,) = snakemake
    assert command.count("--workflow-profile") == 1
    assert "--cores" not in command  # it may say how many


def test_plan_tries_what_a_run_would_and_is_a_dry_run(snakemake, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # without results: what has run is not tried again
    call("plan", "smoke")
    tried, planned = snakemake
    assert "bench.plan.constructors" in tried
    assert "--dry-run" in planned


def test_tune_is_the_target_of_a_search(snakemake):
    call("tune", "tuning")
    assert snakemake[0][3] == "tuned"


def test_failure_of_snakemake_is_the_exit_status(monkeypatch):
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 7)
    )
    assert call("run", "smoke").exit_code == 7


def test_shipped_files_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped("config/default.yaml").is_absolute()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "default.yaml").write_text("name: mine\n")
    assert shipped("config/default.yaml") == Path("config/default.yaml")
    with pytest.raises(UserError, match=r"config/nothing\.yaml: is neither"):
        shipped("config/nothing.yaml")


def test_unknown_suite_is_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "bench", "run", "nothing"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: config/nothing.yaml:")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "called", "with_arguments"),
    [
        (["weights", "check", "alexnet"], "bench.core.weights", ["check", "alexnet"]),
        (["weights", "fetch"], "bench.core.weights", ["fetch"]),
        (["conformance", "dps", "ods"], "bench.conformance.__main__", ["dps", "ods"]),
        (
            ["conformance", "--kind", "metric", "psnr"],
            "bench.conformance.__main__",
            ["--kind", "metric", "psnr"],
        ),
        (["publish", "results/x"], "bench.stages.publish", ["results/x"]),
        (
            ["publish", "results/x", "--allow-dirty"],
            "bench.stages.publish",
            ["results/x", "--allow-dirty"],
        ),
        (
            ["publish", "results/x", "--into", "y"],
            "bench.stages.publish",
            ["results/x", "--into", "y"],
        ),
        (["publish", "results/x", "--tuning"], "bench.stages.publish_tuning", ["results/x"]),
        (
            ["cost", "pairs", "growth", "--out", "y"],
            "bench.cost.__main__",
            ["pairs", "growth", "--out", "y"],
        ),
    ],
)
def test_commands_hand_their_arguments_on(arguments, called, with_arguments, monkeypatch):
    got: list[str] = []
    monkeypatch.setattr(f"{called}.main", lambda *given: got.extend(given))
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    assert got == with_arguments


def test_cost_has_every_question():
    from bench.cost.__main__ import QUESTIONS

    assert tuple(question.value for question in Question) == QUESTIONS


def test_unknown_question_of_cost_is_refused():
    result = call("cost", "nothing")
    assert result.exit_code == 2
    assert "overhead" in result.output


def test_where_samples_are_to_go_is_looked_at_before_they_are_drawn(tmp_path):
    result = call("sample", "dps", "no task", "--out", str(tmp_path / "nowhere" / "x.safetensors"))
    assert isinstance(result.exception, UserError)
    assert f"there is no folder {tmp_path}/nowhere" in str(result.exception)


def test_no_cores_are_refused(snakemake):
    assert call("plan", "smoke", "--cores", "0").exit_code == 2 and not snakemake


def test_docs_are_written_where_asked(tmp_path):
    assert call("docs", "--out", str(tmp_path)).exit_code == 0
    assert "# Methods" in (tmp_path / "methods.md").read_text()
