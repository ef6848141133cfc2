// One call as a whole: when its tries ran, why it was decided so, and the arithmetic of its price.
import { ask } from "./api.js";
import { byId, el, fill, pill } from "./dom.js";
import { UNKNOWN, bytes, count, formula, money, ms, signed, zone } from "./format.js";

export async function showCall(callId) {
  const dialog = byId("call");
  byId("call-h").textContent = `Call ${callId}`;
  fill(byId("call-body"), el("p", { class: "quiet" }, "Looking it up …"));
  if (!dialog.open) dialog.showModal();
  try {
    const found = await ask(`/api/calls/${encodeURIComponent(callId)}`, { tz: zone });
    fill(byId("call-body"), facts(found.call), timeline(found), found.attempts.map((one) => arithmetic(one, found.reasons)),
      doubts(found));
  } catch (error) {
    fill(byId("call-body"), el("p", { class: "quiet" }, error.message));
  }
}

function facts(call) {
  const tags = Object.entries(call.tags).map(([name, value]) => `${name}=${value}`).join(", ");
  const told = [
    ["Started", call.started_at.replace("T", " ")],
    ["Caller", [call.team, call.project, call.user].filter(Boolean).join(" / ") || UNKNOWN],
    ["Key", call.key_id], ["Session", call.session], ["Tags", tags],
    ["Asked", `${call.method} ${call.path}`], ["Model", [call.model_requested, call.model].filter(Boolean)
      .filter((name, index, all) => all.indexOf(name) === index).join(" → ")],
    ["Ended", [call.outcome, call.status || null, call.error_class, call.finish_reason].filter(Boolean).join(", ")],
    ["Policy reasons", call.reasons.join(", ") || "none: nothing spoke against it"],
    ["Cost", call.cost === null ? "not known" : `${call.cost_estimated ? "~" : ""}${signed(call.cost, call.currency)} (${call.cost_source})`],
    ["Usage", `${count(call.input_tokens)} in, ${count(call.output_tokens)} out (${call.usage_source})`],
    ["Time in Taximeter", ms(call.overhead_ms)], ["Bytes", `${bytes(call.request_bytes)} asked, ${bytes(call.response_bytes)} answered`],
    ["Trace", call.trace_id],
  ];
  return el("dl", { class: "facts" }, told.filter(([, said]) => said).map(([name, said]) => [el("dt", {}, name), el("dd", {}, said)]).flat());
}

function timeline({ call, attempts }) {
  const whole = Math.max(Number(call.duration_ms), ...attempts.map((one) => one.offset_ms + one.duration_ms), 0.001);
  const lines = attempts.map((one) => {
    const bar = el("span", { class: `bar ${one.outcome === "ok" ? "good" : "bad"}` });
    place(bar, one.offset_ms / whole, one.duration_ms / whole);
    const marks = [["ttfb_ms", "head"], ["ttft_ms", "first token"]].filter(([name]) => one[name] !== null).map(([name, said]) => {
      const mark = el("span", { class: `mark ${name}`, title: `${said} after ${ms(one[name])}` });
      mark.style.left = `${(100 * (one.offset_ms + one[name])) / whole}%`;
      return mark;
    });
    const told = [`${ms(one.duration_ms)}`, one.connect_ms === null ? "kept connection" : `connected in ${ms(one.connect_ms)}`,
      one.target ? `target ${one.target}` : null, one.rule ? `outcome by ${one.rule}` : null,
      one.ttfb_ms === null ? null : `head after ${ms(one.ttfb_ms)}`, one.ttft_ms === null ? null : `first token after ${ms(one.ttft_ms)}`];
    return el("li", {},
      el("p", {}, el("strong", {}, `Attempt ${one.attempt} `), `${one.provider} ${one.model || ""} `,
        pill([one.outcome, one.status || null, one.error_class].filter(Boolean).join(" "), one.outcome === "ok" ? "good" : "bad")),
      el("div", { class: "track" }, bar, marks),
      el("p", { class: "quiet" }, told.filter(Boolean).join(" · ")));
  });
  return el("div", {}, el("h3", {}, `Timeline, ${ms(call.duration_ms)}`),
    lines.length ? el("ol", { class: "timeline" }, lines) : el("p", { class: "quiet" }, "It went to no provider."));
}

function place(bar, from, share) {
  bar.style.left = `${100 * from}%`;
  bar.style.width = `${Math.max(100 * share, 0.4)}%`;
}

function arithmetic(one) {
  const currency = one.list_cost_currency || one.currency;
  const ids = [...new Set(one.price_lines.map((line) => line.price_id))].join(", ");
  return el("div", {}, el("h3", {}, `Price of attempt ${one.attempt}`),
    one.price_lines.length
      ? el("p", { class: "formula" }, el("code", {}, formula(one.price_lines, one.list_cost, currency)))
      : el("p", { class: "quiet" }, "No price was worked out."),
    ids ? el("p", { class: "quiet" }, "Price entry ", el("code", {}, ids)) : null,
    one.provider_cost === null ? null : el("p", { class: "quiet" },
      `The provider itself stated ${money(one.provider_cost, one.provider_cost_currency)}, which wins.`));
}

function doubts({ reasons }) {
  const told = Object.entries(reasons);
  if (!told.length) return null;
  return el("div", {}, el("h3", {}, "What makes the figure uncertain"),
    el("ul", {}, told.map(([name, said]) => el("li", {}, el("code", {}, name), ` ${said}`))));
}
