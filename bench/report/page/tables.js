// Tables sort by a click on a column's head, best first, and show the tasks, methods and metrics that the reader picks.
const KINDS = { task: "Tasks", method: "Methods", metric: "Metrics" };
const off = { task: new Set(), method: new Set(), metric: new Set() };

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// Sorting

function badness(cell, goal) {
  if (goal === "text") return cell?.textContent.trim() ?? "";
  const value = parseFloat(cell?.dataset.value);
  if (goal === "up") return -value;
  return goal.startsWith("=") ? Math.abs(value - parseFloat(goal.slice(1))) : value;
}

function compared(a, b) {
  if (typeof a === "string") return a.localeCompare(b, "en", { numeric: true });
  return a - b;
}

const isGap = (key) => Number.isNaN(key) || key === "";

function sort(table, head, order) {
  const column = head.cellIndex;
  const body = table.tBodies[0];
  const keyed = [...body.rows].map((row) => {
    row.dataset.place ??= row.sectionRowIndex;
    return { row, place: Number(row.dataset.place), key: badness(row.cells[column], head.dataset.goal) };
  });
  const sign = order === "worst" ? -1 : 1;
  keyed.sort((a, b) => {
    if (!order) return a.place - b.place;
    if (isGap(a.key) || isGap(b.key)) return isGap(a.key) - isGap(b.key) || a.place - b.place;
    return sign * compared(a.key, b.key) || a.place - b.place;
  });
  body.append(...keyed.map(({ row }) => row));
  for (const other of table.tHead.rows[0].cells) delete other.dataset.order;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  if (!order) return;
  head.dataset.order = order;
  const isAscending = (order === "best") !== (head.dataset.goal === "up");
  head.setAttribute("aria-sort", head.dataset.goal.startsWith("=") ? "other" : isAscending ? "ascending" : "descending");
}

function makeSortable(table) {
  for (const head of table.tHead.rows[0].cells) {
    const button = make("button", { type: "button" }, ...head.childNodes);
    const next = { undefined: "best", best: "worst", worst: "" };
    button.addEventListener("click", () => sort(table, head, next[head.dataset.order]));
    head.append(button);
  }
}

// Filtering

const isOff = (element) => off[element.dataset.kind]?.has(element.dataset.name) ?? false;

function filterColumns(table) {
  const heads = [...table.tHead.rows[0].cells];
  const hidden = heads.map(isOff);
  heads.forEach((head, column) => (head.hidden = hidden[column]));
  const numShown = hidden.filter((is) => !is).length - 1;
  for (const row of [...table.tBodies].flatMap((body) => [...body.rows])) {
    const whole = row.querySelector("td.whole");
    if (whole) whole.colSpan = Math.max(1, numShown);
    else [...row.cells].forEach((cell, column) => (cell.hidden = hidden[column]));
  }
}

function filter() {
  for (const table of document.querySelectorAll("table.sortable")) filterColumns(table);
  for (const element of document.querySelectorAll("main > section, nav a, tbody tr")) element.hidden = isOff(element);
}

function namesOf(kind) {
  const found = [...document.querySelectorAll(`[data-kind="${kind}"]`)];
  return [...new Set(found.map((element) => element.dataset.name))];
}

function pictureOf(kind, name) {
  const found = kind === "method" && document.querySelector(`tr[data-name="${CSS.escape(name)}"] .mark`);
  return found ? [found.cloneNode(true)] : [];
}

function choice(kind, name, update) {
  const box = make("input", { type: "checkbox", checked: true, name: kind, value: name });
  box.addEventListener("change", () => {
    off[kind][box.checked ? "delete" : "add"](name);
    update();
  });
  return make("label", {}, box, ...pictureOf(kind, name), name);
}

function menu(kind) {
  const names = namesOf(kind);
  const count = make("span", { className: "count" });
  const update = () => {
    const numShown = names.length - off[kind].size;
    count.textContent = numShown === names.length ? "all" : `${numShown} of ${names.length}`;
    filter();
  };
  const choices = names.map((name) => choice(kind, name, update));
  const setAll = (isShown) => () => {
    for (const label of choices) label.firstChild.checked = isShown;
    off[kind] = new Set(isShown ? [] : names);
    update();
  };
  const buttons = [["all", true], ["none", false]].map(([words, isShown]) => {
    const button = make("button", { type: "button" }, words);
    button.addEventListener("click", setAll(isShown));
    return button;
  });
  const panel = make("div", { className: "panel" }, make("p", {}, ...buttons), ...choices);
  update();
  return make("details", { className: "menu", name: "menu" }, make("summary", {}, `${KINDS[kind]} `, count), panel);
}

for (const table of document.querySelectorAll("table.sortable")) makeSortable(table);
const bar = document.getElementById("filter");
bar.append(...Object.keys(KINDS).map(menu));
bar.hidden = false;
document.addEventListener("gallery", filter);
document.addEventListener("click", (event) => {
  for (const open of bar.querySelectorAll("[open]")) if (!open.contains(event.target)) open.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") for (const open of bar.querySelectorAll("[open]")) open.open = false;
});
