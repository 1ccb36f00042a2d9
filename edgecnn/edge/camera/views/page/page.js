// The live page: two streams from the camera, which are opened again with growing pauses when they end.
// Labels and messages are other people's text: they reach the page as text only (textContent).
"use strict";

const MINUTE = 60;                 // columns of the latency lines, one a second
const ROWS = 5;
const PAUSE_MS = { first: 500, growth: 1.7, longest: 10_000 };
const SILENCE_MS = 4000;           // the server says how the camera is twice a second
const SPOKEN_EVERY_MS = 5000;
const STAGE_COLOURS = { decode: 0, wait: 1, pixels: 2, model: 3, capture: 4, answer: 5, heatmap: 6 };
const find = (id) => document.getElementById(id);

// --- streams ---------------------------------------------------------------------------------------------------------

class Line {
  // Follows one stream for as long as the page is open. read(body) consumes it; `alive` is called by it for each piece.
  constructor(path, read) {
    this.path = path;
    this.read = read;
    this.pause = PAUSE_MS.first;
    this.connected = false;
    this.problem = "";
    this.next = 0;
  }

  async follow() {
    for (;;) {
      this.abort = new AbortController();
      await documentVisible();
      try {
        const response = await fetch(this.path, { cache: "no-store", signal: this.abort.signal });
        if (response.ok) {
          this.problem = "";
          await this.read(response.body.getReader(), () => this.alive());
        } else {
          this.problem = (await response.text()).trim().slice(0, 200);
        }
      } catch {
        this.problem = "";         // no answer, or cut off: the banner says so
      }
      this.connected = false;
      this.next = Date.now() + this.pause;
      showConnection();
      await new Promise((resume) => setTimeout(resume, this.pause * (0.85 + 0.3 * Math.random())));
      this.pause = Math.min(this.pause * PAUSE_MS.growth, PAUSE_MS.longest);
    }
  }

  alive() {
    this.pause = PAUSE_MS.first;
    this.heard = Date.now();
    if (!this.connected) {
      this.connected = true;
      showConnection();
    }
  }

  cut() {
    this.abort?.abort();
  }
}

function documentVisible() {
  // A page that nobody sees takes no viewer's place.
  return new Promise((resume) => {
    const look = () => {
      if (!document.hidden) {
        document.removeEventListener("visibilitychange", look);
        resume();
      }
    };
    document.addEventListener("visibilitychange", look);
    look();
  });
}

async function readEvents(reader, alive) {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    alive();
    text += decoder.decode(value, { stream: true });
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const [name, data] = text.slice(0, end).split("\n").map((line) => line.slice(line.indexOf(":") + 2));
      text = text.slice(end + 2);
      SHOW[name]?.(JSON.parse(data));
    }
  }
}

async function readPictures(reader, alive) {
  // Parts of multipart/x-mixed-replace, each with its length; what is decoded late is overtaken by the next.
  const decoder = new TextDecoder("latin1");
  let held = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    alive();
    held = joined(held, value);
    for (;;) {
      const head = decoder.decode(held.subarray(0, 200));
      const body = head.indexOf("\r\n\r\n") + 4;
      const length = /content-length: (\d+)/i.exec(head);
      if (body < 4 || !length || held.length < body + Number(length[1])) break;
      const end = body + Number(length[1]);
      draw(new Blob([held.slice(body, end)], { type: "image/jpeg" }));
      held = held.slice(end);
    }
  }
}

function joined(one, other) {
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}

let drawing = null;                // the picture that waits while another is decoded

async function draw(blob) {
  const busy = drawing !== null;
  drawing = blob;
  if (busy) return;
  while (drawing) {
    const taken = drawing;
    try {
      const image = await createImageBitmap(taken);
      const canvas = find("picture");
      if (canvas.width !== image.width || canvas.height !== image.height) {
        canvas.width = image.width;
        canvas.height = image.height;
      }
      canvas.getContext("2d", { alpha: false }).drawImage(image, 0, 0);
      image.close();
    } catch {
      // a picture that the browser can't decode: the next one follows
    }
    if (drawing === taken) drawing = null;
  }
}

// --- connection ------------------------------------------------------------------------------------------------------

const events = new Line("events", readEvents);
const pictures = new Line("stream", readPictures);
let health = { state: "opening", message: "" };

function showConnection() {
  const lost = [events, pictures].find((line) => !line.connected && line.next);
  document.body.dataset.connected = lost || !events.connected ? "no" : "yes";
  document.body.dataset.state = health.state;
  const words = { running: "live", opening: "opening", stalled: "stalled", ended: "ended" };
  set("pulse-word", lost ? "disconnected" : events.connected ? words[health.state] ?? health.state : "connecting");
  const banner = lost ? retrySentence(lost) : stateSentence();
  set("banner", banner);
  find("banner").hidden = !banner;
  speakOf(find("pulse-word").textContent);
}

function retrySentence(line) {
  const seconds = Math.max(0, Math.ceil((line.next - Date.now()) / 1000));
  const when = seconds ? `trying again in ${seconds} s` : "trying again";
  return line.problem ? `${line.problem} (${when})` : `Disconnected from the camera; ${when}.`;
}

function stateSentence() {
  if (health.closed) return "The camera has stopped.";
  if (health.state === "running") return health.message;
  const plain = { opening: "The camera is being opened.", stalled: "Nothing comes from the camera.", ended: "The source is at its end." };
  return health.message || plain[health.state] || health.state;
}

function watchOver() {
  // A machine that loses power ends no stream: silence does. And what is gone takes its picture along.
  if (events.connected && Date.now() - events.heard > SILENCE_MS) events.cut();
  if (!events.connected && events.next) pictures.cut();
  showConnection();
}

// --- what is shown ---------------------------------------------------------------------------------------------------

function set(id, text) {
  const place = find(id);
  if (place.textContent !== String(text)) place.textContent = text;
}

const number = (value, digits = 0) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const digitsFor = (value) => (value !== null && value < 9.95 ? 1 : 0);
const ms = (value) => number(value, digitsFor(value));
const percent = (value) => (value === null || value === undefined ? "–" : `${Math.round(100 * value)} %`);

const SHOW = {
  model(card) {
    set("model_name", card.name);
    set("model_sha256", card.sha256.slice(0, 12));
    find("model_sha256").title = card.sha256;
    set("model_runtime", `${card.runtime}, ${card.threads} ${card.threads === 1 ? "thread" : "threads"}`);
    set("model_precision", card.precision);
    set("model_input", card.input);
    set("model_labels", card.labels);
    document.title = `${card.name} – edgecnn camera`;
  },

  result(result) {
    set("label", result.label);
    find("label").title = result.label;
    find("label").classList.toggle("unsure", result.label === "unsure");
    find("label").classList.toggle("long", result.label.length > 14);
    set("probability", percent(result.probability));
    showBars(result.top);
    remember(result.age_ms, result.stages_ms.model ?? null);
    speak(result.label);
  },

  health(told) {
    health = told;
    set("source", told.source);
    find("source").title = told.source;
    set("frames_per_s", number(told.frames_per_s, 1));
    set("results_per_s", number(told.results_per_s, 1));
    set("dropped", percent(told.dropped));
    set("restarts", told.restarts);
    set("age_p50_ms", ms(told.age_p50_ms));
    set("age_p90_ms", ms(told.age_p90_ms));
    set("model_ms", ms(told.stages_ms.model ?? null));
    showReading("temperature_c", told, told.temperature_c === null ? null : `${told.temperature_c.toFixed(0)} °C`);
    showReading("throttled", told, told.throttled === null ? null : told.throttled ? "yes" : "no");
    find("throttled").classList.toggle("alarm", told.throttled === true);
    showStages(told.stages_ms);
    showLines();
    showConnection();
  },
};

function showReading(id, told, text) {
  // A reading that could not be had is absent, with its reason.
  const place = find(id);
  const wanted = text ?? `n/a ${told.absent?.[id] ?? "no sensor"}`;
  if (place.dataset.shown === wanted) return;
  place.dataset.shown = wanted;
  place.textContent = text ?? "n/a ";
  if (text === null) {
    const why = document.createElement("small");
    why.className = "why";
    why.textContent = told.absent?.[id] ?? "no sensor";
    place.append(why);
  }
}

// --- bars ------------------------------------------------------------------------------------------------------------

const rows = new Map();            // label -> its row, while it is among the likeliest

function showBars(top) {
  const shown = top.slice(0, ROWS);
  const labels = new Set(shown.map((one) => one.label));
  for (const [label, row] of rows) {
    if (labels.has(label)) continue;
    rows.delete(label);
    row.classList.add("leaving");
    setTimeout(() => row.remove(), 250);
  }
  shown.forEach((one, rank) => {
    const row = rows.get(one.label) ?? newRow(one.label, rank);
    row.style.transform = `translateY(${100 * rank}%)`;
    row.querySelector(".fill").style.transform = `translateX(${100 * (one.probability ?? 0) - 100}%)`;
    row.querySelector(".share").textContent = percent(one.probability);
  });
}

function newRow(label, rank) {
  const row = document.createElement("li");
  for (const name of ["name", "track", "share"]) {
    const piece = document.createElement(name === "track" ? "div" : "span");
    piece.className = name;
    row.append(piece);
  }
  row.querySelector(".name").textContent = label;
  const fill = document.createElement("div");
  fill.className = "fill";
  row.querySelector(".track").append(fill);
  row.style.transform = `translateY(${100 * rank}%)`;
  rows.set(label, row);
  find("bars").append(row);
  row.getBoundingClientRect();     // the bar grows from nothing, seen
  return row;
}

// --- spoken ----------------------------------------------------------------------------------------------------------

let spoken = { label: null, at: 0 };
let spokenState = "connecting";

function speak(label) {
  const now = Date.now();
  if (label === spoken.label || now - spoken.at < SPOKEN_EVERY_MS) return;
  spoken = { label, at: now };
  set("spoken", label);
}

function speakOf(state) {
  // Once for each change: the banner counts seconds, which nobody wants to hear.
  if (state === spokenState) return;
  spokenState = state;
  spoken = { label: null, at: Date.now() };
  set("spoken", `camera: ${state}`);
}

// --- latency lines ---------------------------------------------------------------------------------------------------

const seconds = new Map();         // second -> the ages and model times of its results

function remember(age, model) {
  const now = Math.floor(Date.now() / 1000);
  if (!seconds.has(now)) seconds.set(now, { age: [], model: [] });
  if (age !== null) seconds.get(now).age.push(age);
  if (model !== null) seconds.get(now).model.push(model);
  for (const second of seconds.keys()) if (second < now - MINUTE) seconds.delete(second);
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[sorted.length >> 1] : null;
}

function showLines() {
  const now = Math.floor(Date.now() / 1000) - 1;    // the second that is whole
  const columns = Array.from({ length: MINUTE }, (_, i) => seconds.get(now - MINUTE + 1 + i));
  const age = columns.map((column) => (column ? median(column.age) : null));
  const model = columns.map((column) => (column ? median(column.model) : null));
  const highest = nice(Math.max(1, ...age, ...model));
  set("spark-top", highest);
  find("spark-age").setAttribute("d", path(age, highest));
  find("spark-model").setAttribute("d", path(model, highest));
}

function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value);
}

function path(values, highest) {
  let drawn = "";
  let pen = "M";
  values.forEach((value, i) => {
    if (value === null) {
      pen = "M";
      return;
    }
    const x = (300 * i) / (MINUTE - 1);
    const y = 62 - (60 * value) / highest;
    drawn += `${pen}${x.toFixed(1)} ${y.toFixed(1)}${pen === "M" ? "h.01" : ""}`;
    pen = "L";
  });
  return drawn;
}

// --- stages ----------------------------------------------------------------------------------------------------------

let stageNames = "";

function showStages(stages) {
  const names = Object.keys(stages);
  if (names.join("\n") !== stageNames) {
    stageNames = names.join("\n");
    find("stack").replaceChildren(...names.map((name, i) => piece("div", colour(name, i))));
    find("legend").replaceChildren(...names.map((name, i) => legendRow(name, colour(name, i))));
  }
  names.forEach((name, i) => {
    find("stack").children[i].style.flexGrow = stages[name] ?? 0;
    find("legend").children[i].lastElementChild.textContent = number(stages[name], 1);
  });
}

function colour(name, i) {
  return `stage-${STAGE_COLOURS[name] ?? 4 + (i % 3)}`;
}

function piece(tag, name, text = "") {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  return made;
}

function legendRow(name, colourClass) {
  const row = document.createElement("li");
  row.append(piece("i", colourClass), piece("span", "", name), piece("b", ""));
  return row;
}

// --- begin -----------------------------------------------------------------------------------------------------------

document.addEventListener("visibilitychange", () => {
  if (document.hidden) [events, pictures].forEach((line) => line.cut());
});
setInterval(watchOver, 500);
events.follow();
pictures.follow();
