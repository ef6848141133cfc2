// Rows of calls: the live tail and what a search finds.
import { ask } from "./api.js";
import { showCall } from "./call.js";
import { byId, el, fill, pill, table } from "./dom.js";
import { UNKNOWN, clock, count, money, ms, zone } from "./format.js";

const HEADINGS = [
  ["Time"], ["Caller", "wide"], ["Provider", "wide"], ["Model"], ["Outcome"], ["In", "num wide"], ["Out", "num wide"],
  ["Cost", "num"], ["Took", "num"], ["First token", "num wide"],
];
const MOST_ROWS = 60;
const REFUSED_MS = 5000;
const STATES = { ok: "good", cancelled: "note", interrupted: "note" };

export function row(call) {
  const who = [call.team, call.project, call.user].filter(Boolean).join("/") || call.key_id || UNKNOWN;
  const cost = `${call.estimated ? "~" : ""}${money(call.cost, call.currency)}`;
  const said = [call.outcome, call.status && call.status !== "200" && call.status !== 200 ? call.status : null];
  return el("tr", { "data-call": call.call_id },
    el("td", {}, el("button", { class: "link", type: "button", title: call.call_id, onclick: () => showCall(call.call_id) },
      clock(call.time_ms ?? call.time))),
    el("td", { class: "wide cut", title: who }, who),
    el("td", { class: "wide" }, call.provider),
    el("td", { class: "cut", title: call.model }, call.model || UNKNOWN),
    el("td", {}, pill(said.filter(Boolean).join(" "), STATES[call.outcome] || "bad")),
    el("td", { class: "num wide" }, count(call.input_tokens)),
    el("td", { class: "num wide" }, count(call.output_tokens)),
    el("td", { class: "num", title: call.cost === null ? "not known" : `${call.cost} ${call.currency}` }, cost),
    el("td", { class: "num" }, ms(call.duration)),
    el("td", { class: "num wide" }, ms(call.ttft)));
}

export async function startLive() {
  const target = byId("live-calls");
  const state = byId("live-state");
  table(target, HEADINGS, []);
  const body = target.tBodies[0];
  const shown = new Set();
  let paused = false;
  let waiting = [];
  let lost = 0;

  const add = (call) => {
    if (shown.has(call.call_id)) return;
    shown.add(call.call_id);
    body.prepend(row(call));
    while (body.rows.length > MOST_ROWS) {
      shown.delete(body.lastElementChild.dataset.call);
      body.lastElementChild.remove();
    }
  };
  const set = (text, kind) => { state.textContent = text; state.className = `pill ${kind}`; };

  byId("pause").onclick = (event) => {
    paused = !paused;
    event.target.textContent = paused ? "Go on" : "Pause";
    event.target.setAttribute("aria-pressed", String(paused));
    if (!paused) { waiting.forEach(add); waiting = []; }
  };

  const known = await ask("/api/reports/calls", { since: "24h", tz: zone, limit: 25 }).catch(() => ({ rows: [] }));
  known.rows.reverse().forEach(add);

  const happened = (event) => {
    const call = JSON.parse(event.data);
    if (!paused) { add(call); return; }
    if (waiting.push(call) > MOST_ROWS) waiting.shift();
    byId("pause").textContent = `Go on (${waiting.length} wait)`;
  };
  const missed = (event) => {
    lost += JSON.parse(event.data).count;
    byId("live-lost").textContent = `${count(lost)} calls came faster than this page took them; they are in the reports.`;
  };
  const listen = () => {
    const events = new EventSource("/api/live");
    events.onopen = () => set("live", "good");
    events.onerror = () => {
      set("reconnecting", "note");
      // A browser comes back by itself after a cut, and not after a refusal: of a session that ended, of a full house.
      if (events.readyState === EventSource.CLOSED) setTimeout(listen, REFUSED_MS);
    };
    events.addEventListener("call", happened);
    events.addEventListener("lost", missed);
  };
  listen();
}

export function startSearch() {
  const form = byId("search-form");
  form.onsubmit = async (event) => {
    event.preventDefault();
    const fields = new FormData(form);
    const where = ["call_id", "team", "key_id", "model", "outcome"]
      .filter((name) => fields.get(name)).map((name) => `${name}=${fields.get(name).trim()}`);
    const said = byId("search-said");
    said.textContent = "Searching …";
    try {
      const report = await ask("/api/reports/calls",
        { since: fields.get("since") || "24h", until: fields.get("until"), tz: zone, limit: 100, where });
      table(byId("found"), HEADINGS, report.rows.map(row));
      said.textContent = report.notes.join(" ");
    } catch (error) {
      fill(byId("found"));
      said.textContent = error.message;
    }
  };
}
