"use strict";
// One page for every input: /info says whether the model takes files or texts, and what it answers.
const language = navigator.languages.concat("en").map((name) => name.slice(0, 2)).find((name) => name in WORDS);
const say = (key, values = {}) => WORDS[language][key].replace(/{(\w+)}/g, (_, name) => values[name] ?? "");
const get = (id) => document.getElementById(id);
const TOP = 8;
const SMALL = 96; // pixels: smaller images are enlarged without smoothing
let info = null;
let stream = null;

function make(tag, name, text) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
}

async function ask(address, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem("token");
    const headers = token ? { ...options.headers, Authorization: `Bearer ${token}` } : options.headers;
    const answer = await fetch(address, { ...options, headers });
    if (answer.status !== 401) return answer;
    await askToken();
  }
}

function askToken() {
  const dialog = get("ask-token");
  get("token").value = "";
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      sessionStorage.setItem("token", get("token").value);
      resolve();
    }, { once: true });
    if (!dialog.open) dialog.showModal();
  });
}

function complain(text) {
  get("problem").textContent = text;
  get("problem").hidden = !text;
}

async function reasonOf(answer) {
  try {
    return (await answer.json()).error;
  } catch {
    return `HTTP ${answer.status}`;
  }
}

// Sends files (with their names) or a text, and shows one result for each.
async function predict(items) {
  complain("");
  get("empty").hidden = false;
  get("empty").textContent = say("working");
  try {
    let options;
    if (info.media.kind === "text") {
      options = { headers: { "Content-Type": "application/json" } };
      options.body = JSON.stringify({ [info.word]: items[0] });
    } else {
      const form = new FormData();
      for (const item of items) form.append(info.word, item, item.name || `${info.word}`);
      options = { body: form };
    }
    const started = performance.now();
    const answer = await ask(`/predict?top=${TOP + 1}`, { ...options, method: "POST" });
    if (!answer.ok) throw new Error(await reasonOf(answer));
    const took = Math.round(performance.now() - started);
    const predictions = (await answer.json()).predictions;
    predictions.map((found, row) => result(found, items[row], took)).reverse().forEach((node) => get("results").prepend(node));
    get("clear").hidden = false;
  } catch (error) {
    complain(say("wrong", { reason: error.message }));
  }
  get("empty").textContent = say("empty");
  get("empty").hidden = get("results").childElementCount > 0;
}

function result(found, item, took) {
  const node = make("article", "result");
  if (item instanceof Blob && item.type.startsWith("image/")) node.append(picture(item));
  const side = make("div");
  side.append(make("p", "name", `${found.name} · ${say("took", { ms: took })}`));
  side.append(...(found.error ? [make("p", "problem", found.error)] : answerOf(found)));
  node.append(side);
  return node;
}

function picture(blob) {
  const image = new Image();
  image.alt = "";
  image.addEventListener("load", () => {
    image.classList.toggle("small", Math.max(image.naturalWidth, image.naturalHeight) < SMALL);
    URL.revokeObjectURL(image.src);
  });
  image.addEventListener("error", () => image.remove()); // a format that the browser does not show
  image.src = URL.createObjectURL(blob);
  return image;
}

function answerOf(found) {
  if (found.values) return numbers(found);
  const nodes = [];
  const title = make("p", "answer");
  let applies;
  if (found.labels) {
    applies = new Set(found.labels);
    title.append(...found.labels.map((name) => make("span", "chip", name)));
    if (!found.labels.length) title.append(make("span", "chip unknown", say("none")));
  } else if (found.unknown) {
    applies = new Set();
    title.append(make("span", "chip unknown", say("unknown")));
    if (found.nearest) title.append(make("span", "quiet", say("nearest", { name: found.nearest })));
  } else {
    applies = new Set([found.label]);
    title.textContent = found.label;
  }
  nodes.push(title, bars(Object.entries(found.probabilities), applies));
  return nodes;
}

function bars(entries, applies) {
  const node = make("div", "bars");
  entries.sort((one, other) => other[1] - one[1]);
  for (const [name, value] of entries.slice(0, TOP)) {
    const first = applies.has(name) ? " first" : "";
    const label = make("span", `label${first}`, name);
    label.title = name;
    const track = make("div", "track");
    const fill = make("div", `fill${first}`);
    fill.style.width = `${Math.max(0, Math.min(1, value)) * 100}%`;
    track.append(fill);
    node.append(label, track, make("span", `value${first}`, percent(value)));
  }
  const rest = info.names.length - Math.min(entries.length, TOP);
  if (rest > 0) node.append(make("span", "value", say("more", { count: rest })), make("span"), make("span"));
  return node;
}

function percent(value) {
  const text = new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
  return text.format(value);
}

function numbers(found) {
  const format = new Intl.NumberFormat(language, { maximumSignificantDigits: 5 });
  return Object.entries(found.values).map(([name, value]) => {
    const line = make("p");
    line.append(make("span", "name", `${name} `), make("span", "answer", format.format(value)));
    const bounds = (found.intervals || {})[name];
    if (bounds) {
      const [low, high] = bounds.map((bound) => format.format(bound));
      line.append(make("span", "quiet", ` ${say("interval", { low, high })}`));
    }
    return line;
  });
}

async function openCamera() {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    get("video").srcObject = stream;
    get("camera").hidden = false;
  } catch (error) {
    complain(say("noCamera", { reason: error.message }));
  }
}

function closeCamera() {
  for (const track of stream ? stream.getTracks() : []) track.stop();
  stream = null;
  get("camera").hidden = true;
}

function shoot() {
  const video = get("video");
  const canvas = make("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => blob && predict([new File([blob], `${say("camera")}.png`, { type: "image/png" })]), "image/png");
}

function offerFiles() {
  const drop = get("drop");
  const images = info.media.types.some((type) => type.startsWith("image/"));
  get("files").hidden = false;
  get("file").accept = info.media.types.join(",");
  get("drop-title").textContent = say(images ? "drop" : "dropOther");
  get("drop-hint").textContent = say("dropHint", { items: info.limits.items, mb: info.limits.body_mb });
  get("camera-on").hidden = !(images && navigator.mediaDevices && navigator.mediaDevices.getUserMedia);
  const take = (files) => files.length && predict([...files].slice(0, info.limits.items));
  for (const node of [drop, get("choose")]) node.addEventListener("click", () => get("file").click());
  drop.addEventListener("keydown", (event) => ["Enter", " "].includes(event.key) && get("file").click());
  get("file").addEventListener("click", (event) => event.stopPropagation());
  get("file").addEventListener("change", () => {
    take(get("file").files);
    get("file").value = "";
  });
  for (const kind of ["dragover", "drop", "dragleave"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop") take(event.dataTransfer.files);
    });
  }
  document.addEventListener("paste", (event) => take(event.clipboardData.files));
  get("camera-on").addEventListener("click", openCamera);
  get("camera-off").addEventListener("click", closeCamera);
  get("shoot").addEventListener("click", shoot);
}

function offerTexts() {
  get("texts").hidden = false;
  get("text").placeholder = say("text");
  const send = () => get("text").value.trim() && predict([get("text").value]);
  get("texts").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  get("text").addEventListener("keydown", (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && send());
}

async function offerSamples() {
  if (!info.media) return;
  for (const [number, sample] of info.samples.entries()) {
    const answer = await ask(`/samples/${number}`);
    if (!answer.ok) continue;
    const blob = await answer.blob();
    const button = make("button");
    button.title = say("sample", { truth: sample.truth });
    if (info.media.kind === "text") {
      const text = await blob.text();
      button.append(make("span", "words", text.slice(0, 60)));
      button.addEventListener("click", () => {
        get("text").value = text;
        predict([text]);
      });
    } else {
      const file = new File([blob], say("sample", { truth: sample.truth }), { type: blob.type });
      button.append(picture(file));
      button.addEventListener("click", () => predict([file]));
    }
    get("sample-list").append(button);
  }
  get("samples").hidden = !get("sample-list").childElementCount;
}

async function watchState() {
  let state = "gone";
  try {
    state = (await fetch("/v2/health/ready")).ok ? "ready" : "warming";
  } catch {
    // The server has stopped; it is asked again.
  }
  get("state").className = `state ${state}`;
  get("state").textContent = say(state);
  setTimeout(watchState, state === "ready" ? 10000 : 1000);
}

function put(words) {
  for (const [id, text] of Object.entries(words)) get(id).textContent = text;
}

async function start() {
  document.documentElement.lang = language;
  put({
    "choose": say("choose"), "camera-on": say("camera"), "camera-off": say("cameraOff"), "shoot": say("shoot"),
    "samples-title": say("samples"), "found-title": say("found"), "clear": say("clear"), "empty": say("empty"),
    "private": say("privacy"), "token-title": say("token"), "token-ok": say("ok"), "text-hint": say("textHint"),
  });
  watchState();
  get("clear").addEventListener("click", () => {
    get("results").replaceChildren();
    complain("");
    get("clear").hidden = true;
    get("empty").hidden = false;
  });
  info = await (await ask("/info")).json();
  const outputs = { softmax: "classes", sigmoid: "labels", identity: "numbers" }[info.activation];
  document.title = info.model;
  put({
    title: info.model,
    facts: say("facts", {
      task: info.task in WORDS[language] ? say(info.task) : info.task, count: info.names.length, outputs: say(outputs),
      size: info.size_mb, format: info.format,
    }),
    send: say(info.activation === "identity" ? "sendNumbers" : "send"),
  });
  if (!info.media) {
    get("tensors").hidden = false;
    get("tensors").textContent = say("tensors", { model: info.model });
  } else if (info.media.kind === "text") offerTexts();
  else offerFiles();
  await offerSamples();
}

start();
