// Tables sort by a click on a column's head, best first, and show the tasks, methods and metrics that the reader picks.

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

function filterTables() {
  for (const table of document.querySelectorAll("table.sortable, table.heat")) filterColumns(table);
  for (const element of document.querySelectorAll("main tbody tr, .tabs a")) element.hidden = isOff(element);
}

function namesOf(kind) {
  const found = [...document.querySelectorAll(`[data-kind="${kind}"]`)];
  return [...new Set(found.map((element) => element.dataset.name))];
}

function choice(kind, name) {
  const box = make("input", { type: "checkbox", checked: !off[kind].has(name), name: kind, value: name });
  box.addEventListener("change", () => {
    off[kind][box.checked ? "delete" : "add"](name);
    change();
  });
  watchers.push(() => (box.checked = !off[kind].has(name)));
  return make("label", {}, box, kind === "method" ? markOf(name) : "", name);
}

function menu(kind) {
  const names = namesOf(kind);
  const count = make("span", { className: "count" });
  watchers.push(() => {
    const numShown = names.filter((name) => !off[kind].has(name)).length;
    count.textContent = numShown === names.length ? "all" : `${numShown} of ${names.length}`;
  });
  const buttons = [["all", []], ["none", names]].map(([words, hidden]) => {
    const button = make("button", { type: "button" }, words);
    button.addEventListener("click", () => {
      off[kind] = new Set(hidden);
      change();
    });
    return button;
  });
  const choices = names.map((name) => choice(kind, name));
  const panel = make("div", { className: "panel" }, make("p", {}, ...buttons), ...choices);
  return make("details", { className: "menu", name: "menu" }, make("summary", {}, `${KINDS[kind]} `, count), panel);
}

function foldButton() {
  const button = make("button", { type: "button", id: "fold" });
  button.addEventListener("click", () => {
    state.variants = !state.variants;
    change();
  });
  watchers.push(() => {
    button.setAttribute("aria-pressed", state.variants);
    button.textContent = `${variantNames.size} ${variantNames.size === 1 ? "variant" : "variants"}`;
    button.title = state.variants ? "Fold the variants" : `Show the variants: ${[...variantNames].join(", ")}`;
  });
  return button;
}

for (const table of document.querySelectorAll("table.sortable")) makeSortable(table);
readAddress();
const bar = document.getElementById("filter");
bar.append(...(variantNames.size ? [foldButton()] : []), ...Object.keys(KINDS).map(menu));
bar.hidden = false;
watchers.push(filterTables);
document.addEventListener("click", (event) => {
  for (const open of bar.querySelectorAll("[open]")) if (!open.contains(event.target)) open.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") for (const open of bar.querySelectorAll("[open]")) open.open = false;
});
