# One rule per artefact. Each job is one command with one argument, its spec, and can be pasted into a shell.
# Parsing this file writes nothing: specs are written and the suite's folder is locked when a run begins. A job reruns when
# the content of its spec (params) or one of its source files (input) changes.
# Every job has one thread: that is Snakemake's default, and it tells the job so (OMP_NUM_THREADS).
from bench import plan
from bench.runtime import preload

suite = plan.open_suite(config, workflow.configfiles, check=workflow.is_main_process)
# profiles/default asks for it: on this machine jobs are forked from a process that has imported torch
preloads = "preload" in dict(workflow.resource_settings.default_resources or {})
if preloads:
    shell.prefix(preload.SHELL)


onstart:
    plan.begin(suite)
    if preloads and workflow.local_exec and not suite.num_gpus:  # CUDA does not survive a fork
        preload.start()


pathvars:
    results=suite.root,


wildcard_constraints:
    dataset=plan.NAME,
    prior=plan.NAME,
    family=plan.NAME,
    classifier=plan.NAME,
    task=plan.NAME,
    method=plan.NAME,
    seed=r"[0-9]+",
    visit=r"[0-9]+",
    toy="|".join(suite.toys) or "no-toy-here",


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
        plugin=lambda w: suite.dataset_sources(w.dataset),
        sources=suite.sources("data"),
    output:
        "<results>/data/{dataset}.safetensors",
    params:
        spec=lambda w: suite.spec_path("data", w.dataset),
        content=lambda w: suite.digest("data", w.dataset),
    message:
        "data {wildcards.dataset}"
    shell:
        "python -m bench.stages.data {params.spec}"


rule prior:  # first: most others wait for a chain of these
    priority: 2
    input:
        data=lambda w: suite.data(w.prior),
        teacher=lambda w: suite.teacher(w.prior),
        family=lambda w: suite.prior_sources(w.prior),
        sources=suite.sources("prior"),
    output:
        "<results>/priors/{prior}/{family}.safetensors",
    params:
        spec=lambda w: suite.spec_path("priors", w.prior),
        content=lambda w: suite.digest("priors", w.prior),
    message:
        "prior {wildcards.prior}"
    shell:
        "python -m bench.stages.prior {params.spec}"


rule classifier:
    input:
        data=lambda w: suite.data_of_classifier(w.classifier),
        sources=suite.sources("classifier"),
    output:
        "<results>/classifiers/{classifier}/{classifier}.safetensors",
    params:
        spec=lambda w: suite.spec_path("classifiers", w.classifier),
        content=lambda w: suite.digest("classifiers", w.classifier),
    message:
        "classifier {wildcards.classifier}"
    shell:
        "python -m bench.stages.classifier {params.spec}"


rule observe:
    input:
        data=lambda w: suite.data_of_task(w.task),
        prior=lambda w: suite.prior(w.task),
        classifier=lambda w: suite.classifier(w.task),
        family=lambda w: suite.task_sources(w.task),
        sources=suite.sources("observe"),
    output:
        "<results>/tasks/{task}/all_measurements.safetensors",
        "<results>/tasks/{task}/observations.safetensors",
    params:
        spec=lambda w: suite.spec_path("tasks", w.task),
        content=lambda w: suite.digest("tasks", w.task),
    message:
        "observe {wildcards.task}"
    shell:
        "python -m bench.stages.observe {params.spec}"


rule reference:  # long: not to be left over at the end
    priority: 1
    input:
        prior=lambda w: suite.prior(w.task),
        observations="<results>/tasks/{task}/observations.safetensors",
        classifier=lambda w: suite.classifier(w.task),
        family=lambda w: suite.task_sources(w.task),
        sources=suite.sources("reference"),
    output:
        "<results>/tasks/{task}/exact.safetensors",
    params:
        spec=lambda w: suite.spec_path("tasks", w.task),
        content=lambda w: suite.digest("tasks", w.task),
    message:
        "reference {wildcards.task}"
    shell:
        "python -m bench.stages.reference {params.spec}"


rule train:  # long: not to be left over at the end
    priority: 1
    input:
        prior=lambda w: suite.prior(w.task),
        method=lambda w: suite.method_sources(w.method),
        classifier=lambda w: suite.classifier(w.task),
        family=lambda w: suite.task_sources(w.task),
        sources=suite.sources("train"),
    output:
        "<results>/runs/{task}/{method}/seed{seed}/state.safetensors",
        "<results>/runs/{task}/{method}/seed{seed}/training.json",
    params:
        spec=lambda w: suite.spec_path("train", w.task, w.method, f"seed{w.seed}"),
        content=lambda w: suite.digest("train", w.task, w.method, f"seed{w.seed}"),
    resources:
        gpu=suite.num_gpus,
    message:
        "train {wildcards.task} {wildcards.method} seed {wildcards.seed}"
    shell:
        "python -m bench.stages.train {params.spec}"


rule sample:
    input:
        state=lambda w: suite.training(w.task, w.method, w.seed),
        prior=lambda w: suite.prior(w.task),
        observations="<results>/tasks/{task}/observations.safetensors",
        method=lambda w: suite.method_sources(w.method),
        classifier=lambda w: suite.classifier(w.task),
        family=lambda w: suite.task_sources(w.task),
        sources=suite.sources("sample"),
    output:
        "<results>/runs/{task}/{method}/seed{seed}/samples.safetensors",
        "<results>/runs/{task}/{method}/seed{seed}/cost.json",
    params:
        spec=lambda w: suite.spec_path("runs", w.task, w.method, f"seed{w.seed}"),
        content=lambda w: suite.digest("runs", w.task, w.method, f"seed{w.seed}"),
    resources:
        gpu=suite.num_gpus,
    message:
        "sample {wildcards.task} {wildcards.method} seed {wildcards.seed}"
    shell:
        "python -m bench.stages.sample {params.spec}"


rule clock:  # alone on the machine: it asks for all cores, and uses one
    input:
        before=ancient(lambda w: suite.visits_before(w.visit)),
        beside=lambda w: suite.clocked(w.task, w.method, w.seed),
        state=lambda w: suite.training(w.task, w.method, w.seed),
        prior=lambda w: suite.prior(w.task),
        observations="<results>/tasks/{task}/observations.safetensors",
        method=lambda w: suite.method_sources(w.method),
        classifier=lambda w: suite.classifier(w.task),
        family=lambda w: suite.task_sources(w.task),
        sources=suite.sources("clock"),
    output:
        "<results>/runs/{task}/{method}/seed{seed}/visits/{visit}.json",
    params:
        spec=lambda w: suite.spec_path("clock", w.task, w.method, f"seed{w.seed}"),
        content=lambda w: suite.digest("clock", w.task, w.method, f"seed{w.seed}"),
    threads: workflow.cores
    resources:
        gpu=suite.num_gpus,
    message:
        "clock {wildcards.task} {wildcards.method} seed {wildcards.seed}, visit {wildcards.visit}"
    shell:
        "python -m bench.stages.clock {params.spec} {wildcards.visit}"


rule pool:
    input:
        visits=lambda w: suite.visits(w.task, w.method, w.seed),
        sources=suite.sources("pool"),
    output:
        "<results>/runs/{task}/{method}/seed{seed}/timing.json",
    params:
        spec=lambda w: suite.spec_path("clock", w.task, w.method, f"seed{w.seed}"),
        content=lambda w: suite.digest("clock", w.task, w.method, f"seed{w.seed}"),
    message:
        "times of {wildcards.task} {wildcards.method} seed {wildcards.seed}"
    shell:
        "python -m bench.stages.pool {params.spec}"


rule tune:
    input:
        prior=lambda w: suite.prior(w.task),
        bank="<results>/tasks/{task}/all_measurements.safetensors",
        method=lambda w: suite.method_sources(w.method),
        classifier=lambda w: suite.classifier(w.task),
        family=lambda w: suite.task_sources(w.task),
        sources=suite.sources("tune"),
    output:
        "<results>/tuning/{task}/{method}/trials.csv",
    params:
        spec=lambda w: suite.spec_path("tune", w.task, w.method),
        content=lambda w: suite.digest("tune", w.task, w.method),
    message:
        "tune {wildcards.task} {wildcards.method}"
    shell:
        "python -m bench.stages.tune {params.spec}"


rule evaluate:
    input:
        prior=lambda w: suite.prior(w.task),
        observations="<results>/tasks/{task}/observations.safetensors",
        exact="<results>/tasks/{task}/exact.safetensors",
        samples=lambda w: suite.runs(w.task, "samples.safetensors"),
        classifier=lambda w: suite.classifier(w.task),
        family=lambda w: suite.task_sources(w.task),
        of_metrics=lambda w: suite.of_metrics(w.task),
        metrics=lambda w: suite.metric_sources(w.task),
        sources=suite.sources("evaluate"),
    output:
        "<results>/tasks/{task}/metrics.csv",
    params:
        spec=lambda w: suite.spec_path("evaluate", w.task),
        content=lambda w: suite.digest("evaluate", w.task),
    message:
        "evaluate {wildcards.task}"
    shell:
        "python -m bench.stages.evaluate {params.spec}"


rule tables:
    input:
        metrics=suite.per_task("metrics.csv"),
        costs=suite.all_runs("cost.json"),
        timings=suite.timings,
        sources=suite.sources("tables"),
    output:
        suite.tables,
    params:
        spec=lambda w: suite.spec_path("suite"),
        content=lambda w: suite.digest("suite"),
    message:
        "tables"
    shell:
        "python -m bench.stages.tables {params.spec}"


rule timing:
    input:
        timings=suite.timings,
        sources=suite.sources("timing"),
    output:
        suite.timing_tables,
    params:
        spec=lambda w: suite.spec_path("suite"),
        content=lambda w: suite.digest("suite"),
    message:
        "table of times"
    shell:
        "python -m bench.stages.timing {params.spec}"


rule published:
    input:
        metrics=suite.per_task("metrics.csv"),
        costs=suite.all_runs("cost.json"),
        timings=suite.timings,
        numbers=suite.published,
        sources=suite.sources("published"),
    output:
        suite.beside,
    params:
        spec=lambda w: suite.spec_path("suite"),
        content=lambda w: suite.digest("suite"),
    message:
        "published numbers beside ours"
    shell:
        "python -m bench.stages.published {params.spec}"


rule claims:
    input:
        metrics=suite.per_task("metrics.csv"),
        costs=suite.all_runs("cost.json"),
        timings=suite.timings,
        sources=suite.sources("claims"),
    output:
        suite.ledger,
    params:
        spec=lambda w: suite.spec_path("suite"),
        content=lambda w: suite.digest("suite"),
    message:
        "claims of the papers"
    shell:
        "python -m bench.stages.claims {params.spec}"


rule grid:
    input:
        observations="<results>/tasks/{task}/observations.safetensors",
        exact="<results>/tasks/{task}/exact.safetensors",
        samples=lambda w: suite.runs(w.task, "samples.safetensors"),
        plugin=suite.figure_sources("grid"),
        sources=suite.sources("grid"),
    output:
        "<results>/figures/grid-{task}.pdf",
        "<results>/figures/grid-{task}.png",
        "<results>/figures/grid-{task}.csv",
    params:
        spec=lambda w: suite.spec_path("evaluate", w.task),
        content=lambda w: suite.digest("evaluate", w.task),
    message:
        "grid {wildcards.task}"
    shell:
        "python -m bench.stages.grid {params.spec}"


rule figure:
    input:
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
    params:
        spec=lambda w: suite.spec_path("suite"),
        content=lambda w: suite.digest("suite"),
    wildcard_constraints:
        figure="|".join(suite.figures) or "(?!)",
    message:
        "figure {wildcards.figure}"
    shell:
        "python -m bench.stages.figure {params.spec} {wildcards.figure}"


rule report:
    input:
        tables=suite.tables,
        beside=suite.beside,
        ledger=suite.ledger,
        figures=[*suite.curves, *suite.grids],
        sources=suite.sources("report"),
    output:
        "<results>/report.html",
    params:
        spec=lambda w: suite.spec_path("suite"),
        content=lambda w: suite.digest("suite"),
    message:
        "report"
    shell:
        "python -m bench.stages.report {params.spec}"


rule toy:
    input:
        method=lambda w: suite.method_sources("ods"),
        sources=lambda w: suite.sources("toy"),
    output:
        "<results>/figures/{toy}.pdf",
        "<results>/figures/{toy}.png",
        "<results>/figures/{toy}.csv",
    params:
        spec=lambda w: suite.spec_path("toys", w.toy),
        content=lambda w: suite.digest("toys", w.toy),
    message:
        "toy {wildcards.toy}"
    shell:
        "python -m bench.stages.toy {params.spec}"
