"""The command line: `posterior-bench COMMAND`, or `python -m bench COMMAND` in a checkout.

Each command reads its arguments and calls a function elsewhere, which it imports late, so that help appears at once.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="posterior-bench",
    help="Compare posterior samplers with the truth.\n\n"
    "Begin with `posterior-bench run smoke`, which takes a few minutes.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
weights_app = typer.Typer(
    help="Weights of published networks and models: check, download, convert and examine them.",
    short_help="Check, download, convert and examine published weights.",
    no_args_is_help=True,
)
app.add_typer(weights_app, name="weights", rich_help_panel=None)

NUM_CORES = os.cpu_count() or 1

SuiteName = Annotated[
    str, typer.Argument(metavar="SUITE", help="a name in config/, or the path of a YAML file")
]
Cores = Annotated[int, typer.Option(min=1, help="how many jobs run at once")]
PlugIns = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE", help="files, or names of methods; default: all methods"),
]
Networks = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help="alexnet, vgg16, inception (default: these), or models that `weights list` names",
    ),
]
Models = Annotated[
    list[str],
    typer.Argument(metavar="NAME", help="models that `weights list` names, files or folders"),
]
Into = Annotated[str | None, typer.Option(help="folder to write to; default: in results/reference")]


class Question(StrEnum):
    """What `cost` can measure."""

    overhead = "overhead"
    batching = "batching"
    orchestration = "orchestration"
    growth = "growth"
    pairs = "pairs"
    mfa = "mfa"
    learned = "learned"
    peers = "peers"
    sizes = "sizes"
    repeatability = "repeatability"


class Trial(StrEnum):
    """What `chaos` can try."""

    kills = "kills"
    faults = "faults"
    disks = "disks"


class Kind(StrEnum):
    """The kinds of plug-ins."""

    method = "method"
    prior = "prior"
    dataset = "dataset"
    operator = "operator"
    metric = "metric"
    figure = "figure"


@app.command(
    short_help="Run a suite; its page is results/SUITE/report.html.",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def run(context: typer.Context, suite: SuiteName = "default", cores: Cores = NUM_CORES) -> None:
    """Run a suite with Snakemake, into results/ of the working directory.

    Further options go to Snakemake: `run default --workflow-profile profiles/slurm`.
    """
    _snakemake(suite, cores, context.args)


@app.command(short_help="Show what a run would do, and roughly how long it takes.")
def plan(suite: SuiteName = "default", cores: Cores = NUM_CORES) -> None:
    """Show which jobs a run of a suite would do, why, and roughly how long they would take."""
    from bench.core.shipped import suite_file
    from bench.plan import load, try_out
    from bench.plan.forecast import print_forecast
    from bench.plan.snakemake import dry_run

    try_out(load({"suite": str(suite_file(suite))}))
    done = dry_run(suite, cores)
    print(done.stdout or "", end="")
    if done.returncode:
        raise typer.Exit(done.returncode)
    print_forecast(str(suite_file(suite)), done.stdout or "", cores)


@app.command(short_help="Search settings for methods, at the same cost for each.")
def tune(suite: SuiteName = "tuning", cores: Cores = NUM_CORES) -> None:
    """Search settings for the methods of a suite that has the key `tune`, each at the same cost."""
    _snakemake(suite, cores, [], target="tuned")


@app.command(short_help="Print the jobs of a suite as plain commands.")
def commands(suite: SuiteName = "default") -> None:
    """Print the jobs of a suite as plain commands, in order, for a machine without Snakemake.

    `posterior-bench commands gpu_timing | sh -e` runs them one after another.
    """
    from bench.core.shipped import suite_file
    from bench.plan.commands import write_commands

    write_commands(str(suite_file(suite)))


@app.command(short_help="Check a method or another plug-in, and say what fails.")
def conformance(
    files: PlugIns = None,
    kind: Annotated[
        Kind | None, typer.Option(help="of the names; that of a file follows from its folder")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="after which a check is ended; default: 60 for methods, else 600"),
    ] = None,
) -> None:
    """Check plug-ins against the interface of their kind, and say what passes and what does not."""
    from bench.conformance.__main__ import main as check

    limit = ["--seconds", str(seconds)] if seconds is not None else []
    check(*limit, *(["--kind", kind.value] if kind else []), *files or [])


@app.command(short_help="Open or make a task, and print what it is.")
def task(
    name: Annotated[
        str, typer.Argument(metavar="TASK", help="a task of the suite, e.g. gmm-inpaint-box")
    ],
    suite: Annotated[str, typer.Option(help="the suite that has the task")] = "default",
) -> None:
    """Open a task, or make it, and print what it is."""
    import bench

    print(bench.load_task(name, suite=suite))


@app.command(short_help="Run one method on one task, and print its metrics.")
def sample(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="a method's name, or its file")],
    task: Annotated[str, typer.Argument(metavar="TASK", help="a task's name")],
    num_samples: Annotated[int, typer.Option(help="samples per measurement")] = 64,
    suite: Annotated[str, typer.Option(help="the suite that has the task")] = "default",
    out: Annotated[
        Path | None, typer.Option(help="write the samples to this .safetensors file")
    ] = None,
) -> None:
    """Draw samples with one method on one task, at its default settings, and print their metrics."""
    import bench
    from bench.core.errors import UserError

    if out and not (out.parent.is_dir() and os.access(out.parent, os.W_OK)):
        raise UserError(f"--out {out}: there is no folder {out.parent}, or it cannot be written to")
    opened = bench.load_task(task, suite=suite)
    samples = bench.sample(method, opened, num_samples=num_samples)
    if out:
        from safetensors.torch import save_file

        save_file({"samples": samples.contiguous()}, str(out))
    values = (
        bench.evaluate(opened, samples)
        .dropna(subset="value")
        .groupby("metric", sort=False)["value"]
    )
    print(values.agg(["mean", "std", "count"]).to_markdown(floatfmt=".4g"))


@app.command(short_help="Copy tables and figures of a run to results/reference.")
def publish(
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="results/SUITE of a finished run")
    ],
    into: Into = None,
    allow_dirty: Annotated[
        bool, typer.Option("--allow-dirty", help="publish results of edited sources, and say so")
    ] = False,
    tuning: Annotated[
        bool, typer.Option("--tuning", help="publish the logs of a search instead of tables")
    ] = False,
    costs: Annotated[bool, typer.Option("--costs", help="publish only what the jobs took")] = False,
) -> None:
    """Copy tables and figures, with their provenance, into results/reference; and what the jobs took."""
    if tuning:
        from bench.stages.publish_tuning import main as publish_tuning

        publish_tuning(folder, *([into] if into else []))
        return
    from bench.plan.snakemake import is_up_to_date
    from bench.stages.publish import main as publish_tables

    publish_tables(
        folder,
        *(["--into", into] if into else []),
        *(["--allow-dirty"] if allow_dirty else []),
        *(["--costs"] if costs else ["--unchanged"] if is_up_to_date(Path(folder).name) else []),
    )


@app.command(short_help="Say whether a finished run agrees with what is published.")
def reproduce(suite: SuiteName = "default") -> None:
    """Compare a finished suite in results/ with its published results; exit status 1 where they differ.

    `snakemake reproduce` first runs what is missing.
    """
    from bench.core.shipped import suite_file
    from bench.plan import load
    from bench.stages.reproduce import main as compare

    compare(str(load({"suite": str(suite_file(suite))}).layout.spec("suite")))


@app.command(short_help="List the experiments of the four papers.")
def papers(
    record: Annotated[
        str,
        typer.Option(metavar="FOLDER", help="add a finished rehearsal, results/SUITE-rehearsal"),
    ] = "",
) -> None:
    """List the experiments of the four papers: the suite of each, what it needs, GPU hours, and its state."""
    from bench.plan.papers_listing import added, listing

    print(added(record) if record else listing())


@app.command(
    short_help="Run a small copy of a paper's suite, with stand-ins.",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def rehearse(
    context: typer.Context,
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="such as papers/dps_ffhq256")],
    cores: Cores = NUM_CORES,
) -> None:
    """Run a small copy of a suite with artificial images and narrow random networks, into results/<suite>-rehearsal.

    Further options go to Snakemake: `rehearse papers/dps_ffhq256 --dry-run`.
    """
    from bench.plan.rehearsal import write_rehearsal

    _snakemake(str(write_rehearsal(suite)), cores, context.args)


@app.command(short_help="Measure what the harness itself costs.")
def cost(
    questions: Annotated[
        list[Question] | None,
        typer.Argument(metavar="QUESTION", help="default: all but repeatability"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="folder for the records")] = None,
) -> None:
    """Measure what the harness costs; `python -m bench.cost --help` has more options."""
    from bench.cost.__main__ import main as measure

    measure(
        *(question.value for question in questions or []), *(["--out", str(out)] if out else [])
    )


@app.command(short_help="Check that kills, damaged files and full disks are mended.")
def chaos(
    suite: Annotated[str, typer.Option(help="a name in config/, or a YAML file")] = "chaos",
    only: Annotated[list[Trial] | None, typer.Option(help="default: all three")] = None,
    kills: Annotated[int, typer.Option(help="how many")] = 20,
    faults: Annotated[int, typer.Option(help="how many; 0: each kind in each way")] = 60,
    cores: Cores = NUM_CORES,
    seed: Annotated[int, typer.Option(help="of times and choices")] = 0,
    out: Annotated[Path | None, typer.Option(help="folder for the record")] = None,
) -> None:
    """Kill runs of a suite, damage its files and fill its disk, and check that the same command repairs everything."""
    from bench.cost.chaos.__main__ import main as campaign

    numbers = {"--kills": kills, "--faults": faults, "--cores": cores, "--seed": seed}
    given = [word for name, value in numbers.items() for word in (name, str(value))]
    given += [word for trial in only or [] for word in ("--only", trial.value)]
    campaign("--suite", suite, *given, *(["--out", str(out)] if out else []))


@app.command(short_help="Write the generated pages of docs/ anew.")
def docs(
    out: Annotated[Path, typer.Option(help="folder to write to")] = Path("docs/reference"),
) -> None:
    """Write the pages of plug-ins and their parameters from the dataclasses, and methods.md one folder above.

    Also update the table of what suites take in suites.md, beside methods.md, from results/reference/costs.
    """
    from bench.plan.method_page import write_method_page
    from bench.plan.reference_pages import write_pages
    from bench.plan.suite_costs import write_suite_table

    write_pages(out)
    write_method_page(out.parent / "methods.md")
    write_suite_table(out.parent / "suites.md")


@weights_app.command("check", short_help="Print which weights are there, and where others belong.")
def check_weights(networks: Networks = None) -> None:
    """Print which weights are there and where missing ones belong; exit status 1 when one is missing."""
    _weights("check", networks)


@weights_app.command("fetch", short_help="Print terms, download what is missing, check its sha256.")
def fetch_weights(networks: Networks = None) -> None:
    """Print the terms of models, download what is missing, and check its sha256."""
    _weights("fetch", networks)


@weights_app.command("list", short_help="Print the public models that a prior can open.")
def list_weights() -> None:
    """Print the public models that a prior can open: name, family, whether it is here, terms."""
    from bench.core.checkpoints import listing

    print(listing())


@weights_app.command(
    "convert", short_help="Write pickled weights as safetensors; none of it is run."
)
def convert_weights(models: Models) -> None:
    """Write pickled weights as safetensors beside them, with a card; nothing in them is run."""
    from bench.conformance.checkpoints import convert

    convert(models)


@weights_app.command("examine", short_help="Check that models, as priors, keep our conventions.")
def examine_weights(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME", help="models that `weights list` names, or files of fitted priors"
        ),
    ],
) -> None:
    """Check that models, opened as priors, keep our conventions; exit status 1 where one does not."""
    from bench.conformance.checkpoints import examine

    examine(models)


def _weights(what: str, names: list[str] | None) -> None:
    from bench.core.weights_command import run

    run(what, names or [])


def _snakemake(suite: str, cores: int, options: list[str], target: str = "all") -> None:
    """Run Snakemake on a suite in the working directory; exit with its status where it fails."""
    from bench.plan.snakemake import start

    if status := start(suite, cores, options, target).returncode:
        raise typer.Exit(status)


def main() -> None:
    """Run the command line; errors meant for the user become one line and exit status 1."""
    from bench.core.artefacts import ArtefactError
    from bench.core.errors import UserError

    try:
        app()
    except (ArtefactError, UserError) as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.filename is None:
            raise
        sys.exit(f"error: {error.filename}: {str(error.strerror).lower()}")


if __name__ == "__main__":
    main()
