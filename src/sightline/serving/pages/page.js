// Upload an image, show the picture with the answer drawn on it, and tables of what the answer has.
"use strict";
const at = (id) => document.getElementById(id);
const API = document.documentElement.dataset.api;  // what this task's routes begin with

async function request(address, options = {}) {
  const token = at("token").value;
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const response = await fetch(address, { ...options, headers });
  if (response.status === 401) at("secret").hidden = false;
  return response;
}

async function ask(address, options = {}) {
  const response = await request(address, options);
  const answer = await response.json();
  if (!response.ok) throw new Error([answer.where, answer.error].filter(Boolean).join(": ") + ". " + answer.way_out);
  return answer;
}

async function showState() {
  try {
    const ready = await ask(`${API}ready`);
    at("task").textContent = ready.task;
    at("state").textContent = `Version ${ready.version} is ready.` + (ready.warning ? ` Warning: ${ready.warning}.` : "");
    showConditions();
  } catch (error) {
    at("state").textContent = `Not ready: ${error.message}`;
    setTimeout(showState, 3000);
  }
}

// What the model can be told of an image. Its card may ask for the token, which is asked for again when it is given.
async function showConditions() {
  try {
    const { card, background } = await ask(`${API}model`);
    at("background").textContent = sentence(background.summary);
    offerFormats(card.formats);
    at("conditions").replaceChildren(...Object.entries(card.conditions).map(conditionField));
  } catch { /* the fields stay away; predicting says what is wrong */ }
}

const SUFFIXES = {  // of media types that not every system knows
  "application/zip": ".zip", "video/quicktime": ".mov", "video/x-matroska": ".mkv", "video/x-msvideo": ".avi",
};

// A model that reads more than images: the file chooser offers that too.
function offerFormats(formats) {
  const sent = formats.filter((one) => one !== "inode/directory");
  if (sent.every((one) => one.startsWith("image/"))) return;
  at("image").accept = sent.flatMap((one) => [one, SUFFIXES[one] ?? []].flat()).join(",");
  at("asked").textContent = "Choose a video or a ZIP of its frames, or drop it here";
}

function conditionField([name, meaning]) {
  const label = document.createElement("label");
  label.title = meaning;
  label.textContent = `${name.replaceAll("_", " ")} `;
  const field = label.appendChild(document.createElement("input"));
  Object.assign(field, { type: "number", step: "any", placeholder: "not known" });
  field.dataset.condition = name;
  return label;
}

function address() {
  const query = new URLSearchParams({ picture: "true" });
  for (const field of document.querySelectorAll("[data-condition]")) {
    if (field.value !== "") query.set(field.dataset.condition, field.value);
  }
  return `${API}predict?${query}`;
}

const shown = (value) =>
  typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(4)
    : Array.isArray(value) ? value.map(shown).join(", ")
    : value !== null && typeof value === "object" ? JSON.stringify(value) : String(value);

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

// How far the image lies from what the model was trained on: told first, and loudly where it is far.
function showFamiliarity({ word, reason }) {
  at("familiarity").textContent = sentence(`${word === "not known" ? "it is not known how usual this image is" : `this image is ${word}`}: ${reason}`);
  at("familiarity").className = word === "familiar" ? "" : "warning";
  at("familiarity").hidden = false;
}

function tableOf(name, rows) {
  const table = document.createElement("table");
  table.createCaption().textContent = `${name} (${rows.length})`;
  const columns = [...new Set(rows.flatMap(Object.keys))];
  const head = table.createTHead().insertRow();
  for (const column of columns) head.appendChild(document.createElement("th")).textContent = column;
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const column of columns) line.insertCell().textContent = column in row ? shown(row[column]) : "";
  }
  return table;
}

// Lists of objects, objects of objects and of numbers are tables; all else is in the whole answer below.
function rowsOf(value) {
  if (Array.isArray(value)) return typeof value[0] === "object" ? value : [];
  if (value === null || typeof value !== "object") return [];
  const entries = Object.entries(value);
  if (entries.every(([, one]) => typeof one === "number")) return entries.map(([name, one]) => ({ name, value: one }));
  return entries.every(([, one]) => one && typeof one === "object" && !Array.isArray(one))
    ? entries.map(([name, one]) => ({ name, ...one })) : [];
}

function show(answer) {
  const { picture, ...rest } = answer;
  at("picture").src = picture;
  at("caption").textContent = `Prediction ${rest.prediction_id} by version ${rest.version}`;
  showFamiliarity(rest.familiarity);
  at("answer").hidden = at("details").hidden = false;
  at("json").textContent = JSON.stringify(rest, null, 2);
  const tables = Object.entries(rest).map(([name, value]) => [name, rowsOf(value)]).filter(([, rows]) => rows.length);
  at("tables").replaceChildren(...tables.map(([name, rows]) => tableOf(name, rows)));
}

async function predict(event) {
  event.preventDefault();
  at("problem").hidden = true;
  at("form").querySelector("button").disabled = true;
  try {
    show(await ask(address(), { method: "POST", body: new FormData(at("form")) }));
  } catch (error) {
    at("problem").textContent = error.message;
    at("problem").hidden = false;
  } finally {
    at("form").querySelector("button").disabled = false;
  }
}

const drop = at("drop");
drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  at("image").files = event.dataTransfer.files;
});
at("all").hidden = API === "/v1/";  // this task is alone
at("token").addEventListener("change", showConditions);
at("form").addEventListener("submit", predict);
showState();
