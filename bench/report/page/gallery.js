// A reader picks a task and a measurement; each picture is cut from the task's sprite into a canvas of its own pixels.
const stored = new Map([...document.querySelectorAll(".gallery-data")].map((script) => [script.dataset.task, script]));
const parsed = new Map();
const [picker, thumbnails, seen, rows, heading] = ["task", "measurements", "seen", "rows", "samples"].map((name) =>
  document.getElementById(`gallery-${name}`),
);
const sprites = new Map();
const hasDistance = document.querySelector("#gallery-view thead tr").cells.length > 5;
const TILE = 48; // CSS pixels, at least

// Pictures of a task are read when they are looked at: all at once would keep the page waiting.
function dataOf(task) {
  if (!parsed.has(task)) parsed.set(task, JSON.parse(stored.get(task).textContent));
  return parsed.get(task);
}

function sprite(task) {
  if (!sprites.has(task)) {
    const image = new Image();
    image.src = dataOf(task).image;
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

function row(image, task, i, k) {
  const name = task.sources[k];
  const { reason, distance, clipped } = task.measurements[i].rows[k];
  const inTables = name === "exact" ? "reference" : name;
  const line = make("tr", {}, make("th", { scope: "row" }, markOf(inTables), inTables));
  Object.assign(line.dataset, { kind: "method", name: inTables });
  line.classList.toggle("variant", variantNames.has(inTables));
  if (reason) {
    line.append(make("td", { className: "reason", colSpan: hasDistance ? 5 : 4 }, reason));
    return line;
  }
  const at = places(task, i);
  const kinds = ["mean", "std", ...Array.from({ length: task.num_samples }, (_, j) => `sample ${j}`)];
  const tiles = kinds.map((kind, column) => tile(image, at.picture(k, column), `${inTables}: ${kind}`, at.side));
  const strip = make("div", { className: "samples" }, ...tiles.slice(2));
  const numbers = hasDistance ? [distance || "n/a", percent(clipped)] : [percent(clipped)];
  line.append(...numbers.map((words) => make("td", {}, words)));
  line.append(...[tiles[0], tiles[1], strip].map((content) => make("td", { className: "pictures" }, content)));
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
  button.addEventListener("click", () => pick(picker.value, i));
  return button;
}

let chosen = 0;

// The task and the measurement of the address, #gallery/task/measurement, else the first ones.
function wanted() {
  const [task, measurement] = state.view === "gallery" ? state.parts : [];
  return [stored.has(task) ? task : picker.value || stored.keys().next().value, Number(measurement) || 0];
}

async function showPictures(name, i) {
  picker.value = name;
  const task = dataOf(name);
  const image = await sprite(name);
  if (name !== picker.value) return; // another task was picked while this one was decoded
  chosen = Math.min(i, task.measurements.length - 1);
  const hadFocus = thumbnails.contains(document.activeElement);
  thumbnails.replaceChildren(...task.measurements.map((_, other) => thumbnail(image, task, other, other === chosen)));
  if (hadFocus) thumbnails.children[chosen].focus();
  seen.replaceChildren(...whatWasSeen(image, task, chosen));
  rows.replaceChildren(...task.sources.map((_, k) => row(image, task, chosen, k)));
  heading.textContent = `first ${task.num_samples} of ${task.num_drawn} samples`;
  filterTables();
}

function pick(name, i) {
  state.parts = [name, i];
  change();
}

thumbnails.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) pick(picker.value, Math.max(0, Math.min(chosen + step, thumbnails.children.length - 1)));
});
if (stored.size) {
  picker.append(...[...stored.keys()].map((name) => make("option", {}, name)));
  picker.addEventListener("change", () => pick(picker.value, chosen));
  document.getElementById("gallery-view").hidden = false;
  let before = "";
  watchers.push(() => {
    const key = JSON.stringify(wanted());
    if (state.view !== "gallery" || key === before) return;
    before = key;
    showPictures(...wanted());
  });
}
const inside = readAddress();
show();
if (inside) document.getElementById(inside).scrollIntoView();
