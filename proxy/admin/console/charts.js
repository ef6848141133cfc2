// Charts by uPlot, in the colours of the page; drawn anew when the period or the theme changes.
import { ask } from "./api.js";
import { byId } from "./dom.js";
import { ms, zone } from "./format.js";

const charts = new Map();
let last = null;

export async function refreshCharts(period) {
  const report = await ask("/api/reports/course", { since: period, tz: zone, limit: 120 });
  last = report;
  draw();
}

export function draw() {
  if (!last) return;
  const rows = last.rows;
  const step = Number((last.notes[0] || "").match(/Steps of (\d+) s/)?.[1] || 60);
  document.querySelectorAll(".step").forEach((one) => { one.textContent = step >= 3600 ? `${step / 3600} h` : `${step / 60} min`; });
  byId("charts-empty").hidden = rows.length > 0;
  byId("charts-empty").textContent = rows.length ? "" : last.notes.at(-1);
  const at = rows.map((one) => Date.parse(one.time) / 1000);
  const column = (name) => rows.map((one) => (one[name] === null ? null : Number(one[name])));
  const range = [Date.parse(last.period.since) / 1000, Date.parse(last.period.until) / 1000];
  const whole = (value) => (value === null ? "–" : Number.isInteger(value) ? String(value) : "");
  chart("chart-calls", range, [at, column("calls"), column("errors")], [["calls", "--accent"], ["errors", "--bad"]], whole);
  chart("chart-latency", range, [at, column("latency_p50"), column("latency_p95")], [["p50", "--accent"], ["p95", "--second"]], ms);
  chart("chart-ttft", range, [at, column("ttft_p50"), column("ttft_p95")], [["p50", "--accent"], ["p95", "--second"]], ms);
}

function chart(id, range, data, series, said) {
  const target = byId(id);
  charts.get(id)?.destroy();
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  charts.set(id, new window.uPlot({
    width: target.clientWidth || 320,
    height: 190,
    scales: { x: { range: () => range }, y: { range: (_u, _low, high) => [0, (high || 1) * 1.1] } },
    axes: [{ ...axis, values: (_u, splits) => splits.map(tick(range)) },
      { ...axis, size: 62, values: (_u, splits) => splits.map((value) => said(value)) }],
    series: [{ label: "time", value: (_u, value) => (value ? new Date(value * 1000).toLocaleString() : "–") },
      ...series.map(([label, name]) => ({
        label, stroke: colour(name), width: 2, spanGaps: false, points: { show: data[0].length < 60, size: 5 },
        value: (_u, value) => (value === null || value === undefined ? "–" : said(value)),
      }))],
  }, data, target));
}

function tick([from, to]) {
  const days = (to - from) > 2 * 86400;
  return (at) => {
    const when = new Date(at * 1000);
    return days ? `${when.getMonth() + 1}/${when.getDate()}` : when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
  };
}

export function startCharts() {
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth !== width) { width = window.innerWidth; draw(); }
  });
}
