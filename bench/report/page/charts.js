// Charts are drawn from embedded numbers when their view is shown. kinds: rows, scatter, levels, lines.
const charts = JSON.parse(document.getElementById("charts-data").textContent);
const WIDTH = 280;
const HEIGHT = 215;
const EDGE = { left: 44, right: 10, top: 22, bottom: 34 };

const SVG = document.querySelector("svg").namespaceURI;

function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const plain = (value) => (value === 0 ? "0" : Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3 ? value.toExponential(0).replace("e+", "e") : String(Number(value.toPrecision(3))));

// Scales: a function from values to [0, 1], and ticks.

function steps(low, high, num) {
  const raw = (high - low) / num || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= raw);
  const ticks = [];
  for (let k = Math.ceil(low / step); k * step <= high + 1e-9; k++) ticks.push(Number((k * step).toPrecision(6)));
  return ticks;
}

function linear(low, high) {
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  const [from, to] = [low - room, high + room];
  return { at: (v) => (v - from) / (to - from), ticks: steps(from, to, 4) };
}

function logarithmic(low, high) {
  const [from, to] = [Math.log10(low) - 0.08, Math.log10(high) + 0.08];
  const marks = to - from < 1.2 ? [1, 2, 5] : to - from < 3 ? [1, 3] : [1];
  const ticks = [];
  for (let d = Math.floor(from); d <= to; d++) for (const m of marks) ticks.push(m * 10 ** d);
  const within = ticks.filter((v) => Math.log10(v) >= from && Math.log10(v) <= to);
  const every = Math.ceil(within.length / 6);
  return { at: (v) => (Math.log10(Math.max(v, 1e-12)) - from) / (to - from), ticks: within.filter((_, k) => k % every === 0) };
}

// Linear up to a threshold around zero, logarithmic beyond: unbiased distances may be negative.
function throughZero(low, high) {
  const threshold = Math.max(high / 100, -2 * low);
  if (high < 5 * threshold) return linear(low, high);
  const bend = (v) => (Math.abs(v) <= threshold ? (0.6 * v) / threshold : Math.sign(v) * (0.6 + Math.log10(Math.abs(v) / threshold)));
  const [from, to] = [bend(Math.min(-threshold / 2, 1.2 * low)), bend(high) + 0.06];
  const ticks = [0];
  for (let d = Math.floor(Math.log10(threshold)); d <= Math.log10(high); d++) for (const m of [1, 3]) if (m * 10 ** d >= threshold && m * 10 ** d <= high * 1.05) ticks.push(m * 10 ** d);
  return { at: (v) => (bend(v) - from) / (to - from), ticks };
}

function scaleOf(kind, values) {
  const finite = values.filter(Number.isFinite);
  if (kind === "unit") return { at: (v) => v, ticks: [0, 0.5, 1] };
  if (!finite.length) return linear(0, 1);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  if (kind === "log" && high > 0) return logarithmic(Math.max(low, high * 1e-6), high);
  if (kind === "linear") return linear(low, high);
  if (low <= 0 && high > 0) return throughZero(low, high);
  return low > 0 && high / low >= 5 ? logarithmic(low, high) : linear(low, high);
}

const clip = (share) => Math.min(1, Math.max(0, share));

// Series

function series({ m, hollow, task }, panel) {
  const { light = "#888", dark = "#aaa" } = looks[m] ?? {};
  const group = svg("g", { class: `series${hollow ? " hollow" : ""}`, style: `--l:${light};--d:${dark}` });
  group.dataset.method = m;
  group.dataset.where = task ?? panel.title;
  return group;
}

function shape(m, x, y, hollow, size = 5.2) {
  const mark = svg("use", { href: `#mark-${looks[m]?.mark ?? "circle"}`, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(${size})` });
  if (!hollow) return mark;
  return svg("circle", { class: "ring", cx: x.toFixed(1), cy: y.toFixed(1), r: 0.62 * size });
}

const line = (x1, y1, x2, y2, name = "") => svg("line", { x1: x1.toFixed(1), y1: y1.toFixed(1), x2: x2.toFixed(1), y2: y2.toFixed(1), ...(name && { class: name }) });
const text = (words, x, y, anchor = "start", name = "axis") => svg("text", { x, y, "text-anchor": anchor, class: name }, words);

// A panel of a scatter, of curves against their level, or of lines.

function panelOf(chart, panel, xScale, yScale) {
  const X = (v) => EDGE.left + clip(xScale.at(v)) * (WIDTH - EDGE.left - EDGE.right);
  const Y = (v) => HEIGHT - EDGE.bottom - clip(yScale.at(v)) * (HEIGHT - EDGE.top - EDGE.bottom);
  const [left, right, top, bottom] = [EDGE.left, WIDTH - EDGE.right, EDGE.top, HEIGHT - EDGE.bottom];
  const out = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" });
  out.append(text(panel.title, left, 13, "start", "title"));
  for (const tick of yScale.ticks) out.append(line(left, Y(tick), right, Y(tick), "grid"), text(plain(tick), left - 5, Y(tick) + 3.5, "end"));
  for (const tick of xScale.ticks) out.append(line(X(tick), top, X(tick), bottom, "grid"), text(plain(tick), X(tick), bottom + 12, "middle"));
  if (panel.band) {
    const edge = [...panel.band.map(([x, low]) => [x, low]), ...panel.band.map(([x, , high]) => [x, high]).reverse()];
    out.append(svg("polygon", { class: "band", points: edge.map(([x, y]) => `${X(x).toFixed(1)},${Y(y).toFixed(1)}`).join(" ") }));
  }
  if (chart.kind === "levels") out.append(line(X(0), Y(0), X(1), Y(1), "dotted"));
  if (panel.floor != null && chart.kind === "scatter") out.append(line(left, Y(panel.floor), right, Y(panel.floor), "dashed"));
  for (const each of panel.series.filter(({ m }) => isShown(m))) {
    const group = series(each, panel);
    if (chart.kind === "scatter") {
      const [[x, y, xLow, xHigh, yLow, yHigh]] = each.p;
      group.dataset.words = `${chart.x.label}: ${plain(x)}\n${chart.y.label}: ${plain(y)}`;
      if (xLow !== undefined) group.append(line(X(xLow), Y(y), X(xHigh), Y(y)), line(X(x), Y(yLow), X(x), Y(yHigh)));
      group.append(shape(each.m, X(x), Y(y), each.hollow));
    } else {
      group.dataset.words = "";
      const points = each.p.map(([x, y]) => `${X(x).toFixed(1)},${Y(y).toFixed(1)}`).join(" ");
      group.append(svg("polyline", { points, ...(each.m === "reference" && { "stroke-dasharray": "5 3" }) }));
      const shown = chart.kind === "lines" ? [each.p[0], each.p.at(-1)] : each.p;
      if (each.m !== "reference") for (const [x, y] of shown) group.append(shape(each.m, X(x), Y(y), each.hollow, 3.2));
    }
    out.append(group);
  }
  if (panel.star) out.append(svg("use", { href: "#mark-star", transform: `translate(${X(panel.star[0])} ${Y(panel.star[1])}) scale(8)` }));
  out.append(text(chart.x.label, (left + right) / 2, HEIGHT - 4, "middle"));
  return out;
}

function gridOf(chart) {
  const points = chart.panels.flatMap(({ series }) => series.filter(({ m }) => isShown(m)).flatMap(({ p }) => p));
  const floors = chart.panels.map(({ floor }) => floor).filter((v) => v != null);
  const stars = chart.panels.map(({ star }) => star).filter(Boolean);
  const xScale = scaleOf(chart.x.scale, [...points.map(([x]) => x), ...stars.map(([x]) => x)]);
  const yScale = scaleOf(chart.y.scale, [...points.map(([, y]) => y), ...floors, ...stars.map(([, y]) => y)]);
  const words = make("p", { className: "dagger" }, `upwards: ${chart.y.label}`);
  return [words, make("div", { className: "panels" }, ...chart.panels.map((panel) => panelOf(chart, panel, xScale, yScale)))];
}

// A row of marks with their intervals for each panel, one below the other.

function rowsOf(chart, width) {
  const shown = chart.panels.map((panel) => ({ ...panel, series: panel.series.filter(({ m }) => isShown(m)) })).filter(({ series }) => series.length);
  const values = shown.flatMap(({ series, floor }) => [...series.map(({ p }) => p[0][0]), ...(floor ? [floor[0]] : [])]);
  const scale = scaleOf(chart.x.scale, values);
  const [left, right, step] = [10, width - 14, 12];
  const X = (v) => left + clip(scale.at(v)) * (right - left);
  const out = svg("svg", { class: "rows", "aria-hidden": "true" });
  let y = 4;
  const body = svg("g");
  for (const panel of shown) {
    const [top, height] = [y + 17, panel.series.length * step + 6];
    if (panel.floor) body.append(svg("rect", { class: "band", x: X(panel.floor[1]), y: top, width: Math.max(2, X(panel.floor[2]) - X(panel.floor[1])), height }));
    body.append(text(panel.title, left, y + 12, "start", "title"));
    panel.series.forEach((each, k) => {
      const [mean, low, high] = each.p[0];
      const at = top + 9 + k * step;
      const group = series(each, panel);
      group.dataset.words = `${plain(mean)}${low < high ? ` [${plain(low)}, ${plain(high)}]` : ""}`;
      group.append(line(X(low), at, X(high), at), shape(each.m, X(mean), at, each.hollow));
      body.append(group);
    });
    y = top + height + 3;
  }
  for (const tick of scale.ticks) out.append(line(X(tick), 4, X(tick), y, "grid"), text(plain(tick), X(tick), y + 14, "middle"));
  out.append(body, text(chart.x.label, (left + right) / 2, y + 31, "middle"));
  out.setAttribute("viewBox", `0 0 ${width} ${y + 36}`);
  return [out];
}

// Legends: a click on a name hides the method everywhere.

function legendOf(chart, figure) {
  const drawn = new Set(chart.panels.flatMap(({ series }) => series.map(({ m }) => m)));
  const names = [...Object.keys(looks)].filter((m) => drawn.has(m) && (m === "reference" || off.method.has(m) || isShown(m)));
  const entries = names.map((m) => {
    const mark = svg("svg", { class: "mark", viewBox: "-0.8 -0.8 1.6 1.6", style: `--l:${looks[m].light};--d:${looks[m].dark}` }, svg("use", { href: `#mark-${looks[m].mark}` }));
    const button = make("button", { type: "button" }, mark, m);
    button.setAttribute("aria-pressed", isShown(m));
    button.style.opacity = isShown(m) ? 1 : 0.4;
    button.addEventListener("click", () => {
      off.method[off.method.has(m) ? "delete" : "add"](m);
      change();
    });
    for (const [event, is] of [["pointerenter", true], ["pointerleave", false], ["focus", true], ["blur", false]]) button.addEventListener(event, () => highlight(figure, is && m));
    return make("li", {}, button);
  });
  const hollow = chart.panels.some(({ series }) => series.some((each) => each.hollow));
  return make("ul", { className: "legend" }, ...entries, ...(hollow ? [make("li", {}, "hollow: saw another prior")] : []));
}

function highlight(figure, method) {
  figure.classList.toggle("hot", Boolean(method));
  for (const group of figure.querySelectorAll(".series")) group.classList.toggle("hot", group.dataset.method === method);
}

const tip = document.getElementById("tip");

function follow(figure) {
  figure.addEventListener("pointermove", (event) => {
    const group = event.target.closest?.(".series");
    tip.hidden = !group;
    if (!event.target.closest?.(".legend")) highlight(figure, group?.dataset.method);
    if (!group) return;
    tip.textContent = [`${group.dataset.method}, ${group.dataset.where}`, group.dataset.words].filter(Boolean).join("\n");
    tip.style.left = `${Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
  });
  figure.addEventListener("pointerleave", () => {
    tip.hidden = true;
    highlight(figure, "");
  });
}

function draw(chart) {
  const figure = document.getElementById(`chart-${chart.id}`);
  const place = figure.querySelector(".drawing");
  const width = Math.round(Math.min(place.clientWidth || 900, 1000));
  const key = JSON.stringify([width, state.variants, [...off.method]]);
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  figure.querySelector(".legend")?.remove();
  place.before(legendOf(chart, figure));
  const shown = { ...chart, panels: chart.panels.filter(({ title }) => !off.task.has(title)) };
  place.replaceChildren(...(chart.kind === "rows" ? rowsOf(shown, width) : gridOf(shown)));
}

const drawAll = () => charts.forEach(draw);
const drawShown = () => charts.filter(({ view }) => view === state.view).forEach(draw);
for (const { id } of charts) follow(document.getElementById(`chart-${id}`));
watchers.push(drawShown);
addEventListener("resize", drawShown);
addEventListener("beforeprint", drawAll);
