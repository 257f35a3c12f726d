# One rule per artefact. Each job is one command with one argument, its spec, and can be pasted into a shell.
# bench/plan writes the specs from config/<suite>.yaml; a run whose spec and source files did not change does not rerun.
# Every job has one thread: that is Snakemake's default, and it tells the job so (OMP_NUM_THREADS).
# On this machine jobs are forked from a process that has imported torch: 0.1 s in place of 3 s each.
import gc

from bench import plan
from bench.runtime import preload

gc.disable()  # until jobs start: what planning makes stays, and to look through it for garbage took a fifth of its time
suite = plan.start(config, workflow.configfiles, main_process=workflow.is_main_process)
shell.prefix(preload.SHELL)


onstart:
    gc.enable()
    if workflow.local_exec:
        if not suite.num_gpus:  # CUDA does not survive a fork, should some library have woken it
            preload.start()
        # its limit of jobs per second has it look through all open jobs ever more often: half of a core at the end
        workflow.scheduler.job_rate_limiter = None


pathvars:
    results=suite.root,


wildcard_constraints:
    dataset=r"[a-z0-9_-]+",
    prior=r"[a-z0-9_]+",
    family=r"[a-z]+",
    classifier=r"[a-z0-9-]+",
    task=r"[a-z0-9_.-]+",
    method=r"[a-z0-9_.-]+",
    seed=r"[0-9]+",
    toy=r"[a-z0-9_]+",


ruleorder: figure > toy


localrules:
    all,
    tuned,


rule all:
    input:
        suite.targets,
    message:
        f"{suite.root} is complete"


rule tuned:
    input:
        suite.tunings,
    message:
        f"the methods of {suite.root} are tuned"


rule data:
    input:
        spec="<results>/specs/data/{dataset}.json",
        sources=suite.sources("data"),
    output:
        "<results>/data/{dataset}.safetensors",
    message:
        "data {wildcards.dataset}"
    shell:
        "python -m bench.stages.data {input.spec}"


rule prior:  # first: most others wait for a chain of these
    priority: 2
    input:
        spec="<results>/specs/priors/{prior}.json",
        data=lambda w: suite.data(w.prior),
        teacher=lambda w: suite.teacher(w.prior),
        family=lambda w: suite.prior_sources(w.prior),
        sources=suite.sources("prior"),
    output:
        "<results>/priors/{prior}/{family}.safetensors",
    message:
        "prior {wildcards.prior}"
    shell:
        "python -m bench.stages.prior {input.spec}"


rule classifier:
    input:
        spec="<results>/specs/classifiers/{classifier}.json",
        data=lambda w: suite.data_of_classifier(w.classifier),
        sources=suite.sources("classifier"),
    output:
        "<results>/classifiers/{classifier}/{classifier}.safetensors",
    message:
        "classifier {wildcards.classifier}"
    shell:
        "python -m bench.stages.classifier {input.spec}"


rule observe:
    input:
        spec="<results>/specs/tasks/{task}.json",
        data=lambda w: suite.data_of_task(w.task),
        prior=lambda w: suite.prior(w.task),
        classifier=lambda w: suite.classifier(w.task),
        family=lambda w: suite.prior_sources_of_task(w.task),
        sources=suite.sources("observe"),
    output:
        "<results>/tasks/{task}/all_measurements.safetensors",
        "<results>/tasks/{task}/observations.safetensors",
    message:
        "observe {wildcards.task}"
    shell:
        "python -m bench.stages.observe {input.spec}"


rule reference:  # long: not to be left over at the end
    priority: 1
    input:
        spec="<results>/specs/tasks/{task}.json",
        prior=lambda w: suite.prior(w.task),
        observations="<results>/tasks/{task}/observations.safetensors",
        classifier=lambda w: suite.classifier(w.task),
        family=lambda w: suite.prior_sources_of_task(w.task),
        sources=suite.sources("reference"),
    output:
        "<results>/tasks/{task}/exact.safetensors",
    message:
        "reference {wildcards.task}"
    shell:
        "python -m bench.stages.reference {input.spec}"


rule train:  # long: not to be left over at the end
    priority: 1
    input:
        spec="<results>/specs/train/{task}/{method}/seed{seed}.json",
        prior=lambda w: suite.prior(w.task),
        method=lambda w: suite.method_sources(w.method),
        classifier=lambda w: suite.classifier(w.task),
        family=lambda w: suite.prior_sources_of_task(w.task),
        sources=suite.sources("train"),
    output:
        "<results>/runs/{task}/{method}/seed{seed}/state.safetensors",
        "<results>/runs/{task}/{method}/seed{seed}/training.json",
    resources:
        gpu=suite.num_gpus,
    message:
        "train {wildcards.task} {wildcards.method} seed {wildcards.seed}"
    shell:
        "python -m bench.stages.train {input.spec}"


rule sample:
    input:
        spec="<results>/specs/runs/{task}/{method}/seed{seed}.json",
        state=lambda w: suite.training(w.task, w.method, w.seed),
        prior=lambda w: suite.prior(w.task),
        observations="<results>/tasks/{task}/observations.safetensors",
        method=lambda w: suite.method_sources(w.method),
        classifier=lambda w: suite.classifier(w.task),
        family=lambda w: suite.prior_sources_of_task(w.task),
        sources=suite.sources("sample"),
    output:
        "<results>/runs/{task}/{method}/seed{seed}/samples.safetensors",
        "<results>/runs/{task}/{method}/seed{seed}/cost.json",
    resources:
        gpu=suite.num_gpus,
    message:
        "sample {wildcards.task} {wildcards.method} seed {wildcards.seed}"
    shell:
        "python -m bench.stages.sample {input.spec}"


rule clock:  # alone on the machine: it asks for all cores, and uses one
    input:
        before=ancient(lambda w: suite.visits_before(w.visit)),
        spec="<results>/specs/clock/{task}/{method}/seed{seed}.json",
        beside=lambda w: suite.clocked(w.task, w.method, w.seed),
        state=lambda w: suite.training(w.task, w.method, w.seed),
        prior=lambda w: suite.prior(w.task),
        observations="<results>/tasks/{task}/observations.safetensors",
        method=lambda w: suite.method_sources(w.method),
        classifier=lambda w: suite.classifier(w.task),
        family=lambda w: suite.prior_sources_of_task(w.task),
        sources=suite.sources("clock"),
    output:
        "<results>/runs/{task}/{method}/seed{seed}/visits/{visit}.json",
    threads: workflow.cores
    resources:
        gpu=suite.num_gpus,
    message:
        "clock {wildcards.task} {wildcards.method} seed {wildcards.seed}, visit {wildcards.visit}"
    shell:
        "python -m bench.stages.clock {input.spec} {wildcards.visit}"


rule pool:
    input:
        spec="<results>/specs/clock/{task}/{method}/seed{seed}.json",
        visits=lambda w: suite.visits(w.task, w.method, w.seed),
        sources=suite.sources("pool"),
    output:
        "<results>/runs/{task}/{method}/seed{seed}/timing.json",
    message:
        "times of {wildcards.task} {wildcards.method} seed {wildcards.seed}"
    shell:
        "python -m bench.stages.pool {input.spec}"


rule tune:
    input:
        spec="<results>/specs/tune/{task}/{method}.json",
        prior=lambda w: suite.prior(w.task),
        bank="<results>/tasks/{task}/all_measurements.safetensors",
        method=lambda w: suite.method_sources(w.method),
        classifier=lambda w: suite.classifier(w.task),
        family=lambda w: suite.prior_sources_of_task(w.task),
        sources=suite.sources("tune"),
    output:
        "<results>/tuning/{task}/{method}/trials.csv",
    message:
        "tune {wildcards.task} {wildcards.method}"
    shell:
        "python -m bench.stages.tune {input.spec}"


rule evaluate:
    input:
        spec="<results>/specs/evaluate/{task}.json",
        prior=lambda w: suite.prior(w.task),
        observations="<results>/tasks/{task}/observations.safetensors",
        exact="<results>/tasks/{task}/exact.safetensors",
        samples=lambda w: suite.runs(w.task, "samples.safetensors"),
        classifier=lambda w: suite.classifier(w.task),
        family=lambda w: suite.prior_sources_of_task(w.task),
        of_metrics=lambda w: suite.of_metrics(w.task),
        metrics=lambda w: suite.metric_sources(w.task),
        sources=suite.sources("evaluate"),
    output:
        "<results>/tasks/{task}/metrics.csv",
    message:
        "evaluate {wildcards.task}"
    shell:
        "python -m bench.stages.evaluate {input.spec}"


rule tables:
    input:
        spec="<results>/specs/suite.json",
        metrics=suite.per_task("metrics.csv"),
        costs=suite.all_runs("cost.json"),
        timings=suite.timings,
        sources=suite.sources("tables"),
    output:
        suite.tables,
    message:
        "tables"
    shell:
        "python -m bench.stages.tables {input.spec}"


rule timing:
    input:
        spec="<results>/specs/suite.json",
        timings=suite.timings,
        sources=suite.sources("timing"),
    output:
        suite.timing_tables,
    message:
        "table of times"
    shell:
        "python -m bench.stages.timing {input.spec}"


rule published:
    input:
        spec="<results>/specs/suite.json",
        metrics=suite.per_task("metrics.csv"),
        costs=suite.all_runs("cost.json"),
        timings=suite.timings,
        numbers=suite.published,
        sources=suite.sources("published"),
    output:
        suite.beside,
    message:
        "published numbers beside ours"
    shell:
        "python -m bench.stages.published {input.spec}"


rule claims:
    input:
        spec="<results>/specs/suite.json",
        metrics=suite.per_task("metrics.csv"),
        costs=suite.all_runs("cost.json"),
        timings=suite.timings,
        sources=suite.sources("claims"),
    output:
        suite.ledger,
    message:
        "claims of the papers"
    shell:
        "python -m bench.stages.claims {input.spec}"


rule grid:
    input:
        spec="<results>/specs/evaluate/{task}.json",
        observations="<results>/tasks/{task}/observations.safetensors",
        exact="<results>/tasks/{task}/exact.safetensors",
        samples=lambda w: suite.runs(w.task, "samples.safetensors"),
        plugin=suite.figure_sources("grid"),
        sources=suite.sources("grid"),
    output:
        "<results>/figures/grid-{task}.pdf",
        "<results>/figures/grid-{task}.png",
        "<results>/figures/grid-{task}.csv",
    message:
        "grid {wildcards.task}"
    shell:
        "python -m bench.stages.grid {input.spec}"


rule figure:
    input:
        spec="<results>/specs/suite.json",
        metrics=suite.per_task("metrics.csv"),
        costs=suite.all_runs("cost.json"),
        exact=suite.per_task("exact.safetensors"),
        timings=suite.timings,
        plugin=lambda w: suite.figure_sources(w.figure),
        sources=suite.sources("figure"),
    output:
        "<results>/figures/{figure}.pdf",
        "<results>/figures/{figure}.png",
        "<results>/figures/{figure}.csv",
    wildcard_constraints:
        figure="|".join(suite.figures) or "(?!)",
    message:
        "figure {wildcards.figure}"
    shell:
        "python -m bench.stages.figure {input.spec} {wildcards.figure}"


rule report:
    input:
        spec="<results>/specs/suite.json",
        tables=suite.tables,
        beside=suite.beside,
        ledger=suite.ledger,
        figures=[*suite.curves, *suite.grids],
        sources=suite.sources("report"),
    output:
        "<results>/report.html",
    message:
        "report"
    shell:
        "python -m bench.stages.report {input.spec}"


rule toy:
    input:
        spec="<results>/specs/toys/{toy}.json",
        method=lambda w: suite.method_sources("ods"),
        sources=lambda w: suite.sources("toy"),
    output:
        "<results>/figures/{toy}.pdf",
        "<results>/figures/{toy}.png",
        "<results>/figures/{toy}.csv",
    message:
        "toy {wildcards.toy}"
    shell:
        "python -m bench.stages.toy {input.spec}"
