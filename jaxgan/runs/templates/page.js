(() => {
"use strict";
const data = JSON.parse(document.getElementById("run-data").textContent);
const byId = (id) => document.getElementById(id);

// What the reader has set survives the reloads while the run goes on.
const storeName = "jaxgan-report:" + location.pathname;
const state = { grid: null, smoothing: 0.8, hidden: {} };
try { Object.assign(state, JSON.parse(sessionStorage.getItem(storeName) || "{}")); } catch (error) { /* no storage */ }
const save = () => { try { sessionStorage.setItem(storeName, JSON.stringify(state)); } catch (error) { /* no storage */ } };

// A process that was killed could not say so: the page's age tells.
const minutes = (Date.now() - Date.parse(document.lastModified)) / 60000;
if (document.querySelector(".status.running") && minutes > 10) {
  const age = minutes < 120 ? Math.round(minutes) + " minutes" : Math.round(minutes / 60) + " hours";
  byId("stale").textContent = "This page was last written " + age + " ago: the run may have been killed.";
  byId("stale").hidden = false;
}

// Sample grids over the steps.
const frames = [...document.querySelectorAll(".stack img")];
const slider = byId("grid-slider");
const play = byId("play");
let timer = null;
function showGrid(index) {
  slider.value = index;
  frames.forEach((frame, place) => frame.classList.toggle("on", place === index));
  byId("grid-step").textContent = Number(frames[index].dataset.step).toLocaleString("en");
}
function pickGrid(index) {
  index = Math.max(0, Math.min(frames.length - 1, index));
  showGrid(index);
  // The newest one is kept as such: after a reload it is the then newest.
  state.grid = index === frames.length - 1 ? null : Number(frames[index].dataset.step);
  save();
}
function stop() {
  clearInterval(timer);
  timer = null;
  play.textContent = "▶";
  play.setAttribute("aria-label", "Play");
}
function start() {
  let index = Number(slider.value) === frames.length - 1 ? 0 : Number(slider.value);
  showGrid(index);
  play.textContent = "❚❚";
  play.setAttribute("aria-label", "Pause");
  timer = setInterval(() => {
    index += 1;
    pickGrid(index);
    if (index >= frames.length - 1) stop();
  }, 160);
}
if (slider) {
  const kept = state.grid === null ? -1 : frames.findIndex((frame) => Number(frame.dataset.step) >= state.grid);
  showGrid(kept < 0 ? frames.length - 1 : kept);
  slider.addEventListener("input", () => { stop(); pickGrid(Number(slider.value)); });
  play.addEventListener("click", () => (timer === null ? start() : stop()));
  document.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    // A slider in focus moves by itself.
    if (!move || event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    stop();
    pickGrid(Number(slider.value) + move);
  });
}

// Pixels stay sharp when enlarged; shrunk, they would lose whole lines.
const pictures = document.querySelectorAll(".card img");
function setRendering() {
  for (const picture of pictures) {
    const scale = (picture.clientWidth * devicePixelRatio) / Number(picture.getAttribute("width"));
    picture.style.imageRendering = scale < 1 ? "auto" : "pixelated";
  }
}

// Curves.
const margin = { left: 52, right: 10, top: 8, bottom: 22 };
const format = (value) => {
  if (value === null) return "not finite";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 100000 || size < 0.001) return value.toExponential(2);
  return size >= 1000 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
};
const tickText = (value, step) => {
  if (value !== 0 && step >= 1000 && step < 1e7) return Math.abs(value) >= 1e6 ? Number((value / 1e6).toFixed(4)) + "M" : value / 1000 + "k";
  if (value !== 0 && (step < 1e-4 || step >= 1e6)) return Number(value.toPrecision(3)).toExponential().replace("e+", "e");
  return value.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
};
function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = Math.pow(10, Math.floor(Math.log10(rough)));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const list = [];
  for (let place = Math.ceil(low / step - 1e-9); place * step <= high + step * 1e-9; place++) list.push(place * step);
  return { list, step };
}
function pointsOf(key) {
  // Of two rows with one step the later counts: a resumed run repeats some.
  const byStep = new Map();
  for (const row of data.rows) {
    if (row[key] === null || typeof row[key] === "number") byStep.set(row.step, row[key]);
  }
  return [...byStep].sort((a, b) => a[0] - b[0]);
}
function smoothed(points, weight) {
  let total = 0, mass = 0;
  return points.map(([step, value]) => {
    if (value === null) return [step, null];
    total = weight * total + (1 - weight) * value;
    mass = weight * mass + (1 - weight);
    return [step, total / mass];
  });
}
// Of several seeds: the mean less and plus the standard deviation; null of a single run.
function bandOf(series) {
  if (!series.spread) return null;
  const spreads = new Map(pointsOf(series.spread));
  return [-1, 1].map((sign) => pointsOf(series.key).map(([step, value]) => {
    const spread = spreads.get(step);
    return [step, value === null || typeof spread !== "number" ? null : value + sign * spread];
  }));
}
const quantile = (sorted, share) => sorted[Math.round(share * (sorted.length - 1))];

const charts = [...document.querySelectorAll("[data-chart]")].map((card) => {
  const spec = data.charts[card.dataset.chart];
  const lines = spec.series.map((series) => ({ ...series, points: pointsOf(series.key), band: bandOf(series) }));
  return { card, spec, lines, plot: card.querySelector(".plot"), legend: card.querySelector(".legend") };
});
const allSteps = charts.flatMap((chart) => chart.lines.flatMap((line) => line.points.map((point) => point[0])));
const firstStep = 0, lastStep = allSteps.reduce((most, step) => Math.max(most, step), 0) || 1;

function rangeOf(chart, lines) {
  let low = Infinity, high = -Infinity;
  const include = (value) => { low = Math.min(low, value); high = Math.max(high, value); };
  for (const line of lines) {
    const raw = line.points.map((point) => point[1]).filter((value) => value !== null).sort((a, b) => a - b);
    if (!raw.length) continue;
    // A few wild values must not flatten all the rest: the front curve is always in view.
    const cut = line.dots || raw.length < 50 ? 0 : 0.01;
    include(quantile(raw, cut));
    include(quantile(raw, 1 - cut));
    for (const [, value] of line.front) if (value !== null) include(value);
    for (const edge of line.edges) for (const [, value] of edge) if (value !== null) include(value);
  }
  if (low > high) { low = 0; high = 1; }
  if (chart.spec.line !== undefined) include(chart.spec.line);
  const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  return [
    chart.spec.low === undefined ? low - room : Math.min(chart.spec.low, low),
    chart.spec.high === undefined ? high + room : Math.max(chart.spec.high, high),
  ];
}
function pathOf(points, x, y) {
  let text = "", pen = "M";
  for (const [step, value] of points) {
    if (value === null) { pen = "M"; continue; }
    // The step of no length shows a value between two gaps as a dot.
    text += pen + x(step).toFixed(1) + " " + y(value).toFixed(1) + (pen === "M" ? "h0" : "");
    pen = "L";
  }
  return text;
}
function areaOf([lower, upper], x, y) {
  const known = lower.map((point, place) => [point, upper[place]]).filter(([low]) => low[1] !== null);
  const along = [...known.map(([, high]) => high), ...known.map(([low]) => low).reverse()];
  return along.length ? pathOf(along, x, y).replaceAll("h0", "") + "Z" : "";
}
function marks(points, x, y, colour) {
  return points.filter((point) => point[1] !== null)
    .map(([step, value]) => '<circle cx="' + x(step).toFixed(1) + '" cy="' + y(value).toFixed(1) +
      '" r="3.5" fill="' + colour + '" stroke="var(--card)"/>').join("");
}
function draw(chart) {
  const width = chart.plot.clientWidth, height = chart.plot.clientHeight;
  const lines = chart.lines.filter((line) => !state.hidden[line.key]);
  for (const line of chart.lines) {
    const shown = (points) => line.dots ? points : smoothed(points, state.smoothing);
    line.front = shown(line.points);
    line.edges = (line.band || []).map(shown);
  }
  const [low, high] = rangeOf(chart, lines);
  const right = width - margin.right, bottom = height - margin.bottom;
  const x = (step) => margin.left + ((step - firstStep) / (lastStep - firstStep)) * (right - margin.left);
  const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - margin.top);
  const clip = "clip" + chart.card.dataset.chart;
  const across = (value, kind) => '<line class="' + kind + '" x1="' + margin.left + '" x2="' + right +
    '" y1="' + y(value).toFixed(1) + '" y2="' + y(value).toFixed(1) + '"/>';
  let svg = '<svg role="img" aria-label="chart"><clipPath id="' + clip + '"><rect x="' + (margin.left - 4) + '" y="' +
    (margin.top - 5) + '" width="' + (right - margin.left + 8) + '" height="' + (bottom - margin.top + 9) + '"/></clipPath>';
  const yTicks = ticks(low, high, 5);
  for (const value of yTicks.list) {
    svg += across(value, "grid") + '<text text-anchor="end" x="' + (margin.left - 8) + '" y="' +
      (y(value) + 4).toFixed(1) + '">' + tickText(value, yTicks.step) + "</text>";
  }
  const xTicks = ticks(firstStep, lastStep, Math.max(2, width / 110));
  for (const step of xTicks.list.filter(Number.isInteger)) {
    const place = x(step), anchor = place > right - 12 ? "end" : "middle";
    svg += '<text text-anchor="' + anchor + '" x="' + (anchor === "end" ? width - 1 : place).toFixed(1) + '" y="' + (height - 4) + '">' +
      tickText(step, xTicks.step) + "</text>";
  }
  if (chart.spec.line !== undefined) svg += across(chart.spec.line, "reference");
  svg += '<g clip-path="url(#' + clip + ')">';
  for (const line of lines) {
    const colour = "var(--c" + line.colour + ")", stroke = '" style="stroke:' + colour + '"/>';
    if (line.band) svg += '<path class="band" d="' + areaOf(line.edges, x, y) + '" style="fill:' + colour + '"/>';
    if (line.dots) {
      svg += '<path class="dots" d="' + pathOf(line.points, x, y) + stroke + marks(line.points, x, y, colour);
      continue;
    }
    if (state.smoothing > 0) svg += '<path class="raw" d="' + pathOf(line.points, x, y) + stroke;
    svg += '<path class="front" d="' + pathOf(line.front, x, y) + stroke;
    if (line.points.length === 1) svg += marks(line.front, x, y, colour);
  }
  chart.plot.innerHTML = svg + '</g><line class="cursor" y1="' + margin.top + '" y2="' + bottom +
    '" visibility="hidden"/><g class="heads"></g></svg>';
  Object.assign(chart, { x, y, left: margin.left, right });
  readout(chart, null);
}
function nearest(points, step) {
  let low = 0, high = points.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < step) low = middle + 1; else high = middle;
  }
  return low > 0 && step - points[low - 1][0] < points[low][0] - step ? low - 1 : low;
}
// The legend shows the values at the cursor, or the newest ones.
function readout(chart, step) {
  const at = step === null ? lastStep : step;
  let heads = "", shownStep = null;
  for (const line of chart.lines) {
    if (!line.points.length) continue;
    const index = nearest(line.points, at);
    const value = line.front[index][1];
    const spread = line.band && line.edges[1][index][1] !== null ? " ± " + format(line.edges[1][index][1] - value) : "";
    line.output.textContent = format(value) + spread;
    line.button.title = line.key + " at step " + line.points[index][0] + ": " + format(line.points[index][1]);
    if (state.hidden[line.key]) continue;
    if (shownStep === null || !line.dots) shownStep = line.points[index][0];
    if (step !== null && value !== null) {
      heads += '<circle r="4" cx="' + chart.x(line.points[index][0]) + '" cy="' + chart.y(value) +
        '" fill="var(--c' + line.colour + ')" stroke="var(--card)" stroke-width="1.5"/>';
    }
  }
  chart.at.textContent = shownStep === null ? "" : "step " + shownStep.toLocaleString("en");
  chart.plot.querySelector(".heads").innerHTML = heads;
  const cursor = chart.plot.querySelector(".cursor");
  cursor.setAttribute("visibility", step === null || shownStep === null ? "hidden" : "visible");
  if (shownStep !== null) for (const end of ["x1", "x2"]) cursor.setAttribute(end, chart.x(shownStep));
}
function makeLegend(chart) {
  chart.at = document.createElement("span");
  chart.at.className = "at";
  chart.card.querySelector("h3").append(chart.at);
  for (const line of chart.lines) {
    const button = document.createElement("button");
    button.type = "button";
    const swatch = document.createElement("i");
    swatch.className = line.dots ? "dot" : "";
    swatch.style.background = "var(--c" + line.colour + ")";
    const label = document.createElement("span");
    label.textContent = line.label;
    line.output = document.createElement("b");
    line.button = button;
    button.append(swatch, label, line.output);
    button.setAttribute("aria-pressed", String(!state.hidden[line.key]));
    button.addEventListener("click", () => {
      state.hidden[line.key] = !state.hidden[line.key];
      button.setAttribute("aria-pressed", String(!state.hidden[line.key]));
      save();
      draw(chart);
    });
    chart.legend.append(button);
  }
}
function listen(chart) {
  const move = (event) => {
    const place = event.clientX - chart.plot.getBoundingClientRect().left;
    const share = Math.max(0, Math.min(1, (place - chart.left) / (chart.right - chart.left)));
    for (const other of charts) readout(other, firstStep + share * (lastStep - firstStep));
  };
  chart.plot.addEventListener("pointermove", move);
  chart.plot.addEventListener("pointerdown", move);
  chart.plot.addEventListener("pointerleave", () => charts.forEach((other) => readout(other, null)));
}
for (const chart of charts) { makeLegend(chart); listen(chart); }
const redraw = () => { charts.forEach(draw); setRendering(); };
const smoothing = byId("smoothing");
if (smoothing) {
  smoothing.value = state.smoothing;
  const apply = () => {
    state.smoothing = Number(smoothing.value);
    byId("smoothing-value").textContent = state.smoothing.toFixed(2);
    charts.forEach(draw);
  };
  smoothing.addEventListener("input", () => { apply(); save(); });
  apply();
}
addEventListener("resize", redraw);
redraw();
})();
