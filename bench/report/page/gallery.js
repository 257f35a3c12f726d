// A reader picks a task and a measurement; each picture is cut from the task's sprite into a canvas of its own pixels.
const data = JSON.parse(document.getElementById("gallery-data").textContent);
const [picker, thumbnails, seen, rows, heading] = ["task", "measurements", "seen", "rows", "samples"].map((name) =>
  document.getElementById(`gallery-${name}`),
);
const sprites = new Map();
const TILE = 48; // CSS pixels, at least

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function sprite(task) {
  if (!sprites.has(task)) {
    const image = new Image();
    image.src = data[task].image;
    sprites.set(task, image.decode().then(() => image));
  }
  return sprites.get(task);
}

function tile(image, [left, top, width, height], words, side) {
  const canvas = make("canvas", { width, height, title: words });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", words);
  canvas.style.width = canvas.style.height = `${side}px`;
  canvas.getContext("2d").drawImage(image, left, top, width, height, 0, 0, width, height);
  return canvas;
}

// Where the pictures of measurement `i` lie in the sprite, as [left, top, width, height].
function places({ x: [height, width], y: [yHeight, yWidth], top, sources }, i) {
  const start = i * (top + sources.length * height);
  return {
    y: [0, start, yWidth, yHeight],
    truth: [yWidth, start, width, height],
    picture: (row, column) => [column * width, start + top + row * height, width, height],
    side: Math.ceil(TILE / width) * width,
  };
}

const short = (value) => String(Number(value.toPrecision(2))).replace("-", "\u2212");
const percent = (share) => (share === 0 ? "0 %" : share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`);

function mark(name) {
  return document.querySelector(`.mark:has([href="#mark-${CSS.escape(name)}"])`)?.cloneNode(true) ?? "";
}

function row(image, task, i, k) {
  const name = task.sources[k];
  const { reason, distance, clipped } = task.measurements[i].rows[k];
  const inTables = name === "exact" ? "reference" : name;
  const line = make("tr", {}, make("th", { scope: "row" }, mark(inTables), name));
  Object.assign(line.dataset, { kind: "method", name: inTables });
  if (reason) {
    line.append(make("td", { className: "reason", colSpan: 5 }, reason));
    return line;
  }
  const at = places(task, i);
  const kinds = ["mean", "std", ...Array.from({ length: task.num_samples }, (_, j) => `sample ${j}`)];
  const tiles = kinds.map((kind, column) => tile(image, at.picture(k, column), `${name}: ${kind}`, at.side));
  const strip = make("div", { className: "strip" }, ...tiles.slice(2));
  const cells = [[distance || "n/a"], [percent(clipped)], [tiles[0]], [tiles[1]], [strip]];
  line.append(...cells.map((content, c) => make("td", { className: c < 2 ? "" : "pictures" }, ...content)));
  return line;
}

function whatWasSeen(image, task, i) {
  const at = places(task, i);
  const { class: shown, window: [low, high], spread } = task.measurements[i];
  const isClass = shown !== null;
  const y = isClass ? make("div", { className: "class" }, `${shown}`) : tile(image, at.y, "y", 2 * at.side);
  const truth = tile(image, at.truth, "truth", 2 * at.side);
  const isImage = low === -1 && high === 1;
  const scale = isClass ? "y is a class." : isImage ? "y: black is -1, white 1; clipped beyond." : `y: black is ${short(low)}, white ${short(high)}, its 1st and 98th percentile; clipped beyond.`;
  const bar = make("span", { className: "scale" }, "std 0 ", make("i"), ` ${short(spread)}`);
  const size = (shape) => shape.join(" × ");
  const sizes = isClass ? `Images are ${size(task.x)} pixels.` : `Images are ${size(task.x)} pixels, y is ${size(task.y)}.`;
  const words = make("div", { className: "facts" }, make("b", {}, `Measurement ${i}`), make("p", {}, scale), make("p", {}, sizes), bar);
  const framed = [[y, "y"], [truth, "truth"]].map(([picture, name]) =>
    make("figure", {}, picture, make("figcaption", {}, name)),
  );
  return [...framed, words];
}

function thumbnail(image, task, i, isChosen) {
  const { truth, side } = places(task, i);
  const button = make("button", { type: "button" }, tile(image, truth, `measurement ${i}`, side));
  button.setAttribute("aria-pressed", isChosen);
  button.addEventListener("click", () => show(i));
  return button;
}

let chosen = 0;

async function show(i) {
  const name = picker.value;
  const task = data[name];
  const image = await sprite(name);
  if (name !== picker.value) return; // another task was picked while this one was decoded
  chosen = Math.min(i, task.measurements.length - 1);
  const hadFocus = thumbnails.contains(document.activeElement);
  thumbnails.replaceChildren(...task.measurements.map((_, other) => thumbnail(image, task, other, other === chosen)));
  if (hadFocus) thumbnails.children[chosen].focus();
  seen.replaceChildren(...whatWasSeen(image, task, chosen));
  rows.replaceChildren(...task.sources.map((_, k) => row(image, task, chosen, k)));
  heading.textContent = `first ${task.num_samples} of ${task.num_drawn} samples`;
  document.dispatchEvent(new Event("gallery"));
}

thumbnails.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) show(Math.max(0, chosen + step));
});
picker.append(...Object.keys(data).map((name) => make("option", {}, name)));
picker.addEventListener("change", () => show(chosen));
document.getElementById("gallery-view").hidden = false;
show(0);
