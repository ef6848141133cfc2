// Everything that is a figure, a card or a small table: spend, budgets, providers, targets, health.
import { ask } from "./api.js";
import { byId, card, el, fill, pill, table } from "./dom.js";
import { UNKNOWN, bytes, count, group, money, ms, percent, price, signed, zone } from "./format.js";

export async function refreshSpend() {
  const now = new Date();
  const month = `${now.getFullYear()}-${String(now.getMonth() + 1).padStart(2, "0")}`;
  const totals = (since) => ask("/api/reports/costs", { since, tz: zone, by: "model", limit: 1 })
    .then((report) => report.totals, (error) => { if (/before it starts/.test(error.message)) return []; throw error; });
  const [today, thisMonth, told] = await Promise.all([totals("today"), totals(month), ask("/api/budgets")]);
  byId("zone").textContent = `days and months of ${zone}`;
  const cards = [["Today", today], ["This month", thisMonth]].flatMap(([name, sections]) =>
    (sections.length ? sections : [null]).map((section) => spendCard(name, section)));
  fill(byId("totals"), cards);
  fill(byId("budgets"), told.budgets.map(budget),
    told.budgets.length + told.idle.length ? null : el("p", { class: "quiet" }, "No budget is in force: docs/budgets.md says how to set one."),
    told.budgets.length ? el("p", { class: "quiet" }, "A call whose cost nobody knows is booked at what was reserved for it: a budget may stand above the spend.") : null,
    told.idle.length ? el("p", { class: "quiet" }, `Nothing used yet: ${told.idle.join(", ")}.`) : null);
}

function spendCard(name, section) {
  if (!section) return card(name, UNKNOWN, el("p", { class: "quiet" }, "no calls"));
  const kind = section.billing === "subscription" ? " list-price equivalent of subscriptions" : "";
  const parts = [["estimated", section.estimated], ["unpriced", section.unpriced], ["interrupted", section.interrupted]]
    .map(([word, n]) => `${count(n)} ${word}`).join(", ");
  const amount = el("span", { title: section.cost === null ? "not known" : `${section.cost} ${section.currency}` },
    section.currency ? money(section.cost, section.currency) : UNKNOWN);
  return card(`${name}, ${section.currency || "without a price"}${kind}`, amount,
    el("p", {}, `${count(section.calls)} calls, ${count(section.errors)} failed`), el("p", { class: "quiet" }, `of them ${parts}`));
}

function budget(level) {
  const money3 = /^[A-Z]{3}$/.test(level.unit);
  const said = (text) => el("span", { title: `${text} ${level.unit}` },
    money3 ? (Number(text) ? money(text, level.unit) : signed("0", level.unit)) : `${group(text)} ${level.unit}`);
  const state = level.share >= 1 ? "bad" : level.share >= 0.8 ? "note" : "good";
  const held = Number(level.held) ? [", ", said(level.held), " reserved by workers"] : [];
  return el("div", { class: "budget" },
    el("p", { class: "row" }, el("strong", {}, level.budget), pill(percent(level.share), state)),
    el("p", { class: "quiet" }, said(level.used), " booked of ", said(level.limit), held),
    el("progress", { class: state, value: Math.min(level.share, 1), max: 1, "aria-label": level.budget }));
}

export async function refreshProviders(period) {
  const report = await ask("/api/reports/providers", { since: period, tz: zone, limit: 40 });
  const rows = report.rows.map((one) => el("tr", {},
    el("td", {}, one.provider), el("td", { class: "cut", title: one.model }, one.model),
    el("td", { class: "num" }, count(one.requests)), el("td", { class: "num" }, percent(one.success_rate)),
    el("td", { class: "num" }, percent(one.uptime)), el("td", { class: "num" }, ms(one.latency_p50)),
    el("td", { class: "num" }, ms(one.latency_p95)), el("td", { class: "num" }, ms(one.ttft_p50)),
    el("td", { class: "num" }, one.output_speed_p50 === null ? UNKNOWN : `${Number(one.output_speed_p50).toFixed(0)}/s`),
    el("td", { class: "num" }, count(one.context_size)),
    el("td", { class: "num" }, one.list_price_in === null ? UNKNOWN : `${price(one.list_price_in, one.currency)} / ${price(one.list_price_out ?? "0", one.currency)}`),
    el("td", { class: "num" }, one.effective_price === null ? UNKNOWN : price(one.effective_price, one.currency))));
  table(byId("provider-rows"), [["Provider"], ["Model"], ["Tries", "num"], ["Success", "num"], ["Uptime", "num"], ["p50", "num"],
    ["p95", "num"], ["First token", "num"], ["Tokens", "num"], ["Context", "num"], ["List in / out per M", "num"], ["Paid per M", "num"]],
  rows.length ? rows : [el("tr", {}, el("td", { colspan: 12, class: "quiet" }, report.notes.at(-1)))]);
  return report.rows;
}

const STATES = { closed: "good", open: "bad" };

export async function refreshTargets() {
  const [told, report] = await Promise.all([ask("/api/targets"),
    ask("/api/reports/providers", { since: "15m", tz: zone }).catch(() => ({ rows: [] }))]);
  byId("targets-why").textContent = told.breakers.length ? "" : told.why;
  const measured = new Map();
  for (const one of report.rows) measured.set(one.provider, (measured.get(one.provider) || []).concat(one));
  const cards = told.providers.map((provider) => {
    const rows = measured.get(provider.name) || [];
    const worst = rows.map((one) => one.success_rate).filter((rate) => rate !== null).map(Number);
    const rate = worst.length ? Math.min(...worst) : null;
    const state = rate === null ? "quiet" : rate >= 0.95 ? "good" : rate >= 0.5 ? "note" : "bad";
    return { busy: rows.length, made: el("div", { class: "card target" },
      el("h3", {}, provider.name, " ", pill(rate === null ? "no calls" : state === "good" ? "well" : "failing", state)),
      el("p", { class: "quiet" }, rows.length ? `15 minutes: ${count(rows.reduce((sum, one) => sum + (one.requests || 0), 0))} tries, worst model ${percent(rate)} good` : "none within 15 minutes"),
      el("p", { class: "quiet" }, provider.has_key ? "with the operator's key" : "with the apps' own keys")) };
  });
  fill(byId("target-cards"), cards.sort((a, b) => b.busy - a.busy).map((one) => one.made),
    told.breakers.map((one) => card(one.target, pill(one.state.replace("_", " "), STATES[one.state] || "note"),
      el("p", { class: "quiet" }, `${count(one.calls)} calls in the breaker's window, ${count(one.failures)} failed${one.until ? `, until ${one.until}` : ""}`))));
}

export async function refreshHealth() {
  const told = await ask("/api/health");
  byId("version").textContent = told.version;
  const bad = told.findings.filter((one) => one.state === "bad").length;
  const state = byId("health-state");
  state.textContent = bad ? `${bad} wrong` : "well";
  state.className = `pill ${bad ? "bad" : "good"}`;
  const journal = told.journal;
  const losses = Object.entries(journal.losses).map(([reason, n]) => `${count(n)} ${reason}`).join(", ");
  fill(byId("journal"),
    card("Journal", `${count(journal.segments)} ${journal.segments === 1 ? "segment" : "segments"}`, el("p", { class: "quiet" }, `${bytes(journal.bytes)} wait, ${journal.lag_s.toFixed(1)} s behind`)),
    card("Lost", losses || "nothing", el("p", { class: "quiet" }, "since the data folder exists")),
    card("Store", told.store.reachable ? "reachable" : "not reachable", el("p", { class: "quiet" }, told.store.embedded ? "embedded" : "a ClickHouse of yours")),
    card("Processes", `${told.processes.filter((one) => one.state === "ready").length} of ${told.processes.length} ready`));
  table(byId("sinks"), [["Sink"], ["State"], ["Behind", "num"], ["Failures", "num"], ["Last error"]],
    Object.entries(journal.sinks).map(([name, sink]) => el("tr", {},
      el("td", {}, name),
      el("td", {}, pill(sink.reachable === null ? "not yet" : sink.reachable ? "takes rows" : "takes nothing", sink.reachable === false ? "bad" : "good")),
      el("td", { class: "num" }, `${sink.lag_s.toFixed(1)} s`), el("td", { class: "num" }, count(sink.failures)),
      el("td", { class: "cut", title: sink.last_error }, sink.trouble || sink.last_error || UNKNOWN))));
  const order = { bad: 0, note: 1, good: 2 };
  fill(byId("findings"), told.findings.sort((a, b) => order[a.state] - order[b.state]).map((one) =>
    el("li", {}, pill(one.state, one.state), " ", el("strong", {}, one.about), ` ${one.said} `, one.advice ? el("em", {}, one.advice) : null)));
}
