// Appended to a copy of the report by test_page.py: does what a reader does and writes what it saw into the page.
const seen = { errors: window.seenErrors };
const rowsOf = (table) => [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.dataset.name);
const shown = (elements) => [...elements].filter((element) => !element.hidden).map((element) => element.dataset.name);
const until = async (condition) => {
  for (let k = 0; k < 200 && !condition(); k++) await new Promise((resolve) => setTimeout(resolve, 20));
};
const pixels = (canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return Array.from({ length: data.length / 4 }, (_, k) => [...data.slice(4 * k, 4 * k + 3)]);
};

async function pick(task, measurement) {
  const [picker, buttons] = [document.getElementById("gallery-task"), document.getElementById("gallery-measurements")];
  picker.value = task;
  picker.dispatchEvent(new Event("change"));
  const sources = JSON.parse(document.getElementById("gallery-data").textContent)[task].sources;
  const isDrawn = () => [...document.getElementById("gallery-rows").rows].length === sources.length;
  await new Promise((resolve) => setTimeout(resolve, 200));
  await until(isDrawn);
  buttons.children[measurement].firstChild.click();
  await until(() => document.querySelector(".facts b").textContent === `Measurement ${measurement}`);
  await until(() => buttons.children[measurement].getAttribute("aria-pressed") === "true");
  const rows = [...document.getElementById("gallery-rows").rows];
  const canvases = [...document.querySelectorAll("#gallery-seen canvas")];
  return {
    y: pixels(canvases[0]),
    truth: pixels(canvases[1]),
    sources: rows.map((row) => row.cells[0].textContent.trim()),
    reasons: Object.fromEntries(rows.filter((row) => row.querySelector(".reason")).map((row) => [row.dataset.name, row.cells[1].textContent])),
    distances: Object.fromEntries(rows.map((row) => [row.dataset.name, row.cells[1].textContent])),
    means: Object.fromEntries(rows.filter((row) => row.querySelector("canvas")).map((row) => [row.dataset.name, pixels(row.querySelector("canvas"))])),
    numCanvases: rows.map((row) => row.querySelectorAll("canvas").length),
    scroll: document.documentElement.scrollWidth - innerWidth,
  };
}

async function look() {
  await Promise.all([...document.images].map((image) => image.decode()));
  seen.widths = [...document.images].map((image) => image.naturalWidth);
  const table = document.querySelector("#task-gmm-phase table");
  const head = (metric) => table.querySelector(`th[data-name="${metric}"] button`);
  seen.orders = [rowsOf(table)];
  for (let k = 0; k < 3; k++) {
    head("sw2-128").click();
    seen.orders.push(rowsOf(table));
  }
  head("coverage_exact@0.9").click();
  seen.byCoverage = rowsOf(table);
  seen.cellsByCoverage = [...table.tBodies[0].rows].map((row) => row.cells[1 + [...table.tHead.rows[0].cells].slice(1).findIndex((cell) => cell.dataset.name === "coverage_exact@0.9")]?.dataset.value ?? "");
  const box = (kind, name) => document.querySelector(`#filter input[name="${kind}"][value="${name}"]`);
  for (const [kind, name] of [["task", "gmm-phase"], ["method", "dps"], ["metric", "energy"]]) box(kind, name).click();
  seen.tasks = shown(document.querySelectorAll("main > section[data-kind=task]"));
  seen.contents = shown(document.querySelectorAll("nav a[data-kind=task]"));
  const other = document.querySelector("#task-gmm-inpaint-box table");
  seen.methods = rowsOf(other);
  seen.metrics = shown([...other.tHead.rows[0].cells].slice(1));
  seen.overview = shown([...document.querySelector("#overview table").tHead.rows[0].cells].slice(1));
  const lengths = [...other.querySelectorAll("tr:not([hidden])")].map((row) => [...row.cells].filter((cell) => !cell.hidden).reduce((sum, cell) => sum + cell.colSpan, 0));
  seen.lengths = [...new Set(lengths)];
  seen.filtered = await pick("gmm-inpaint-box", 0);
  seen.rowsOfGallery = shown(document.getElementById("gallery-rows").rows);
  for (const [kind, name] of [["task", "gmm-phase"], ["method", "dps"], ["metric", "energy"]]) box(kind, name).click();
  seen.restored = shown(document.querySelectorAll("main > section[data-kind=task]"));
  seen.first = await pick("gmm-inpaint-box", 3);
  seen.second = await pick("gmm-phase", 1);
  seen.current = document.querySelectorAll("nav a[aria-current]").length;
}

look()
  .catch((error) => seen.errors.push(String(error)))
  .finally(() => {
    const out = document.createElement("pre");
    out.id = "seen";
    out.textContent = JSON.stringify(seen);
    document.body.append(out);
  });
