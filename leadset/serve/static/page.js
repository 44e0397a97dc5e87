"use strict";

const $ = (id) => document.getElementById(id);
let names = {};

function headers() {
  const key = $("key").value;
  return key ? { "X-API-Key": key } : {};
}

function body() {
  const form = new FormData();
  for (const file of $("files").files) form.append("files", file);
  return form;
}

function say(text, error = false) {
  $("message").textContent = text;
  $("message").className = error ? "error" : "";
}

async function ask(path) {
  const response = await fetch(path, { method: "POST", headers: headers(), body: body() });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({ title: `Status ${response.status}`, detail: "" }));
  throw new Error(`${problem.title}: ${problem.detail}`);
}

async function fullNames() {
  const response = await fetch("/v1/models", { headers: headers() });
  if (!response.ok) return;
  const models = await response.json();
  names = Object.fromEntries(models.classes.map((one) => [one.abbreviation, one.name]));
}

function row(abbreviation, probability, decided) {
  const tr = document.createElement("tr");
  if (decided) tr.className = "decided";
  const name = document.createElement("td");
  name.textContent = names[abbreviation] ? `${abbreviation} – ${names[abbreviation]}` : abbreviation;
  const share = document.createElement("td");
  const meter = document.createElement("meter");
  meter.value = probability;
  share.append(meter, ` ${(100 * probability).toFixed(1)} %`);
  const mark = document.createElement("td");
  mark.textContent = decided ? "yes" : "";
  tr.append(name, share, mark);
  return tr;
}

function show(answer) {
  $("name").textContent = answer.recording;
  const decided = answer.labels.map((label) => names[label] || label).join(", ");
  $("decided").textContent = answer.answered ? `Decided: ${decided}` : `Not judged: ${answer.flags.at(-1)}`;
  const quality = answer.quality;
  $("quality").textContent = quality
    ? `Quality ${(100 * quality.overall).toFixed(0)} %` + (quality.suspected.length ? `; suspected: ${quality.suspected.join(", ")}` : "")
    : "";
  const ordered = Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]);
  $("classes").replaceChildren(...ordered.map(([name, p]) => row(name, p, answer.labels.includes(name))));
  $("json").textContent = JSON.stringify(answer, null, 1);
  $("result").hidden = false;
}

async function draw() {
  const response = await ask("/v1/sheet");
  URL.revokeObjectURL($("sheet").src);
  $("sheet").src = URL.createObjectURL(await response.blob());
}

async function analyse(event) {
  event.preventDefault();
  if (!$("files").files.length) return say("Choose a recording first.", true);
  const button = $("form").querySelector("button");
  button.disabled = true;
  say("Working…");
  try {
    if (!Object.keys(names).length) await fullNames();
    show(await (await ask("/v1/predict")).json());
    await draw();
    say("");
  } catch (error) {
    say(error.message, true);
  } finally {
    button.disabled = false;
  }
}

function chosen() {
  $("chosen").textContent = [...$("files").files].map((file) => file.name).join(", ") || "no file chosen";
}

$("form").addEventListener("submit", analyse);
$("files").addEventListener("change", chosen);
for (const kind of ["dragover", "dragleave", "drop"]) {
  $("drop").addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") {
      $("files").files = event.dataTransfer.files;
      chosen();
    }
  });
}
