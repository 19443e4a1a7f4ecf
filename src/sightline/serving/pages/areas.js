// Areas on the map: draw one, see what it takes, look at it, see what was found. Only where the model can do that.
"use strict";

const SIDES = ["west", "south", "east", "north"];
const POLL_MS = 1000;
let providers = [];
let task = "";
let followed = 0;  // the job whose progress is shown

async function blobOf(address) {
  const response = await request(address);
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  return response.blob();
}

const map = new SlippyMap(at("map"), (...place) => blobOf(`${API}tiles/${place.join("/")}`), (box) => {
  SIDES.forEach((side, number) => { at(side).value = box[number]; });
  takeBox();
});

function element(name, text, properties = {}) {
  return Object.assign(document.createElement(name), { textContent: text }, properties);
}

function showProblem(error) {
  at("area-problem").textContent = error ? error.message : "";
  at("area-problem").hidden = !error;
}

// ---------------------------------------------------------------------------------------------------- the order

function takeBox() {
  const box = SIDES.map((side) => at(side).valueAsNumber);
  map.box = box.every(Number.isFinite) ? box : null;
  map.draw();
}

function order(waitS) {
  const number = (id) => (at(id).value === "" ? null : at(id).valueAsNumber);
  const asked = {
    bbox: SIDES.map((side) => at(side).valueAsNumber), provider: at("provider").value, zoom: number("zoom") ?? "auto",
    upscale: at("upscale").value, threshold: number("threshold"), wait_s: waitS,
  };
  return { method: "POST", body: JSON.stringify(asked), headers: { "Content-Type": "application/json" } };
}

async function doing(work) {
  showProblem(null);
  at("plan").disabled = at("find").disabled = true;
  try {
    await work();
  } catch (error) {
    showProblem(error);
  } finally {
    at("plan").disabled = at("find").disabled = false;
  }
}

const planText = (plan) =>
  `${plan.tiles.toLocaleString()} tiles of ${plan.provider} at zoom ${plan.zoom}, ${plan.megapixels.toFixed(1)} megapixels, ` +
  `${plan.gsd_m.toFixed(2)} m a pixel, about ${Math.max(Math.round(plan.seconds), 1)} s to download` +
  `${plan.enlarging_seconds ? ` and ${Math.max(Math.round(plan.enlarging_seconds), 1)} s to enlarge it` : ""}. ` +
  `Enlarging: ${plan.upscale}${plan.advised_upscale === plan.upscale ? "" : ` (advised: ${plan.advised_upscale})`}; ` +
  `${plan.advice}. Terms: ${plan.terms}.`;

function plan() {
  if (!at("order").reportValidity()) return;
  doing(async () => {
    const answer = await ask(`${API}areas/plan`, order(0));
    const { terms_url: terms } = answer.plan;
    at("planned").replaceChildren(planText(answer.plan), " ", ...(terms ? [element("a", "Terms", { href: terms })] : []));
  });
}

function find(event) {
  event.preventDefault();
  doing(async () => {
    const job = await ask(`${API}areas`, order(2));
    await list();
    follow(job.id);
  });
}

// --------------------------------------------------------------------------------------------------- a job's way

async function follow(id) {
  followed = id;
  at("found").hidden = at("found-familiarity").hidden = true;
  at("files").replaceChildren();
  at("found-table").replaceChildren();
  try {
    for (;;) {
      const job = await ask(`${API}areas/${id}`);
      if (followed !== id) return;
      showProgress(job);
      if (!["queued", "running"].includes(job.state)) {
        await (job.state === "done" ? showFound(job) : showEnd(job));
        break;
      }
      await new Promise((resolve) => { setTimeout(resolve, POLL_MS); });
    }
    await list();
  } catch (error) {
    showProblem(error);
  }
}

const said = (problem) => [problem.where, problem.error].filter(Boolean).join(": ") + `. ${problem.way_out}`;

// Ids begin with the time, so it is the end that tells them apart.
const titleOf = (job) => `Area ${job.id.slice(-8)}`;

function showProgress(job) {
  const { done, total, what } = job.progress;
  at("working").hidden = !["queued", "running"].includes(job.state);
  if (total) at("progress").value = done / total;
  else at("progress").removeAttribute("value");
  const tried = job.problem ? ` Tried ${job.attempts} times: ${said(job.problem)}` : "";
  at("what").textContent = `${titleOf(job)}: ${what ?? job.state}${total ? ` (${done}/${total})` : ""}.${tried}`;
}

function showEnd(job) {
  if (job.problem) showProblem(new Error(`${titleOf(job)} failed: ${said(job.problem)}`));
}

async function showFound(job) {
  const best = "enlarged.geojson" in job.files ? "enlarged" : "raw";
  const geojson = await ask(job.files[`${best}.geojson`]);
  const picture = await blobOf(job.files["comparison.png"]);
  URL.revokeObjectURL(at("found-picture").src);
  at("found-picture").src = URL.createObjectURL(picture);
  const lacking = job.summary.tiles_missing.length;
  at("found-caption").textContent =
    `${titleOf(job)}: ${geojson.features.length} ${task} by version ${job.version}` +
    (lacking ? `; ${lacking} tiles are missing; their area is masked` : "") + `. ${job.summary.attribution}`;
  const { word = "familiar", reason } = job.summary.familiarity?.[best] ?? {};
  at("found-familiarity").textContent =
    `This area is ${word === "not known" ? "perhaps unusual" : word}: ${reason}. What is found, and what is not, may be wrong.`;
  at("found-familiarity").hidden = word === "familiar";
  at("found").hidden = false;
  at("files").replaceChildren(...Object.entries(job.files).flatMap(([name, address]) => [fileLink(name, address), " "]));
  const rows = geojson.features.map(({ properties: { center, ...rest } }) => rest);
  at("found-table").replaceChildren(rows.length ? tableOf(task, rows.map(places)) : "");
  map.features = geojson.features;
  SIDES.forEach((side, number) => { at(side).value = Number(wrapped(job.plan.bounds[number]).toFixed(6)); });
  takeBox();
  map.fit(job.plan.bounds);
}

// Degrees need more digits than other figures.
const places = ({ lon, lat, ...rest }) => ({ longitude: lon.toFixed(6), latitude: lat.toFixed(6), ...rest });

// A link that also works with a token, which a browser does not send by itself.
function fileLink(name, address) {
  const link = element("a", name, { href: address, download: name });
  link.addEventListener("click", async (event) => {
    if (!at("token").value) return;
    event.preventDefault();
    try {
      const saved = element("a", "", { href: URL.createObjectURL(await blobOf(address)), download: name });
      saved.click();
    } catch (error) {
      showProblem(error);
    }
  });
  return link;
}

// --------------------------------------------------------------------------------------------------- the list

async function list() {
  const answer = await ask(`${API}areas`);
  at("jobs").replaceChildren(...answer.jobs.filter((job) => job.state !== "cancelled").map(jobItem));
  return answer;
}

function jobItem(job) {
  const count = job.summary ? Object.values(job.summary.found).at(-1).count : null;
  const outcome = count === null ? job.state : `${count} ${task}`;
  const item = element("li", `${titleOf(job)}: ${outcome}, ${job.plan.tiles} tiles of ${job.plan.provider}`);
  const show = element("button", "Show", { type: "button" });
  show.addEventListener("click", () => { showProblem(null); follow(job.id); });
  const remove = element("button", job.state === "done" || job.state === "failed" ? "Remove" : "Cancel", { type: "button" });
  remove.addEventListener("click", () => doing(async () => {
    if (followed === job.id) followed = 0;
    await ask(`${API}areas/${job.id}`, { method: "DELETE" });
    at("working").hidden = true;
    await list();
  }));
  item.append(show, remove);
  return item;
}

// -------------------------------------------------------------------------------------------------- the beginning

const providerNamed = (name) => providers.find((one) => one.name === name);

function chooseProvider() {
  const { ground } = providerNamed(at("provider").value);
  if (ground) map.fit(ground);
  map.draw();
}

// Who has the tiles learns what is looked at: nobody is asked before somebody chose so.
function chooseTiles() {
  map.provider = providerNamed(at("shown").value) ?? null;
  const { attribution = "", terms_url: terms, ground } = map.provider ?? {};
  at("credit").replaceChildren(attribution, " ", ...(terms ? [element("a", "Terms", { href: terms })] : []));
  if (ground) map.fit(ground);
  map.draw();
}

const tilesOf = ({ name, asks }) => element("option", asks ? `${name} (downloaded from ${asks})` : `${name} (this server's own)`, { value: name });

function begin(answer) {
  if (providers.length) return;
  ({ task } = answer);
  providers = answer.providers;
  at("find").textContent = `Find ${task}`;
  at("provider").replaceChildren(...providers.map(({ name }) => element("option", name)));
  at("shown").replaceChildren(element("option", "none (degrees only)", { value: "" }), ...providers.map(tilesOf));
  at("upscale").replaceChildren(...answer.upscale.map((name) => element("option", name)));
  at("areas").hidden = false;
  map.moveTo(-5.43, 36.13, 12);  // the Strait of Gibraltar: there are always ships
  chooseProvider();
  chooseTiles();
  const last = answer.jobs.find((job) => job.state !== "cancelled");
  if (last) follow(last.id);
}

async function showAreas() {
  try {
    if ((await ask(`${API}ready`)).areas) begin(await list());
  } catch (error) {
    if (at("secret").hidden) setTimeout(showAreas, 3000);  // not ready; else it waits for the token
  }
}

for (const side of SIDES) at(side).addEventListener("input", takeBox);
at("nearer").addEventListener("click", () => map.zoomBy(1));
at("farther").addEventListener("click", () => map.zoomBy(-1));
at("draw").addEventListener("click", () => map.setDrawing(!map.drawing));
at("map").addEventListener("drawing", (event) => at("draw").setAttribute("aria-pressed", String(event.detail)));
at("map").addEventListener("moved", () => {
  at("place").textContent = `${map.lat.toFixed(3)}, ${map.lon.toFixed(3)}, zoom ${map.zoom}`;
});
at("provider").addEventListener("change", chooseProvider);
at("shown").addEventListener("change", chooseTiles);
at("plan").addEventListener("click", plan);
at("order").addEventListener("submit", find);
at("token").addEventListener("change", showAreas);
showAreas();
