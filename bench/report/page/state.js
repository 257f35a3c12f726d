// The address says what is shown: #view/task/measurement?variants=1&no-method=dps,ods
const KINDS = { task: "Tasks", method: "Methods", metric: "Metrics" };
const off = { task: new Set(), method: new Set(), metric: new Set() };
const state = { view: "summary", parts: [], variants: false };
const page = document.documentElement;
const views = [...document.querySelectorAll("main > .view")];
const looks = JSON.parse(document.getElementById("looks-data").textContent);
const variantNames = new Set([...document.querySelectorAll("#front tr.variant")].map((row) => row.dataset.name));
const watchers = []; // called after each change of what is shown

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function markOf(name) {
  return document.querySelector(`tr[data-name="${CSS.escape(name)}"] .mark`)?.cloneNode(true) ?? "";
}

const isShown = (method) => !off.method.has(method) && (state.variants || !variantNames.has(method));

function readAddress() {
  const [path, query] = decodeURIComponent(location.hash.slice(1)).split("?");
  const [view, ...parts] = path.split("/");
  const within = views.some(({ id }) => id === view) ? null : path && document.getElementById(path)?.closest(".view");
  state.view = within ? within.id : views.some(({ id }) => id === view) ? view : "summary";
  state.parts = within ? [] : parts;
  if (query !== undefined) {
    const given = new URLSearchParams(query);
    state.variants = given.get("variants") === "1";
    for (const kind in off) off[kind] = new Set((given.get(`no-${kind}`) ?? "").split(",").filter(Boolean));
  }
  return within && path;
}

function writeAddress() {
  const query = [];
  if (state.variants) query.push("variants=1");
  for (const kind in off) if (off[kind].size) query.push(`no-${kind}=${[...off[kind]].join(",")}`);
  const path = [state.view, ...state.parts].join("/");
  history.replaceState(null, "", `#${path}${query.length ? `?${query.join("&")}` : ""}`);
}

function show() {
  page.dataset.view = state.view;
  page.classList.toggle("variants", state.variants);
  for (const link of document.querySelectorAll("#views a")) {
    if (link.hash === `#${state.view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const task = state.view === "tasks" ? (state.parts[0] ?? "") : "";
  for (const part of document.querySelectorAll("#tasks > .part")) part.hidden = part.dataset.part !== task;
  for (const link of document.querySelectorAll(".tabs a")) {
    if (decodeURIComponent(link.hash) === `#tasks${task && `/${task}`}`) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  for (const watcher of watchers) watcher();
}

addEventListener("hashchange", () => {
  const inside = readAddress();
  show();
  if (inside) document.getElementById(inside).scrollIntoView();
  else {
    writeAddress();
    scrollTo(0, 0);
    document.getElementById(state.view).focus({ preventScroll: true });
  }
});

function change() {
  writeAddress();
  show();
}
