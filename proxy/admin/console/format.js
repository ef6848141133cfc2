// Figures for people. Amounts come as decimal strings and are never added up here; what is rounded for reading keeps
// its exact text in the title.
const SIGNS = { USD: "$", EUR: "€", GBP: "£", CNY: "¥" };
const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
export const zone = ZONE;
export const UNKNOWN = "–";

export function group(text) {
  const [whole, decimals] = String(text).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  return decimals === undefined ? grouped : `${grouped}.${decimals}`;
}

export const count = (n) => (n === null || n === undefined ? UNKNOWN : group(n));

/** A decimal string times 10^places, exactly. */
export function scaled(text, places) {
  const [whole, decimals = ""] = String(text).split(".");
  const digits = decimals.padEnd(places, "0");
  const moved = `${whole}${digits.slice(0, places)}`.replace(/^0+(?=\d)/, "");
  const rest = digits.slice(places).replace(/0+$/, "");
  return rest ? `${moved}.${rest}` : moved;
}

export function signed(text, currency) {
  const sign = SIGNS[currency];
  return sign ? `${sign}${text}` : `${text} ${currency || ""}`.trim();
}

export function money(text, currency) {
  if (text === null || text === undefined) return UNKNOWN;
  const size = Math.abs(Number(text));
  const places = size >= 1000 ? 2 : size >= 1 ? 4 : 6;
  const shown = Number(text).toFixed(places);
  if (size > 0 && Number(shown) === 0) return `<${signed("0.000001", currency)}`;
  return signed(group(shown), currency);
}

/** A price with at least two decimals and no more than it needs. */
export function price(text, currency) {
  const [whole, decimals = ""] = String(text).split(".");
  return signed(`${group(whole)}.${decimals.replace(/0+$/, "").padEnd(2, "0")}`, currency);
}

export function ms(value) {
  if (value === null || value === undefined) return UNKNOWN;
  const number = Number(value);
  if (number >= 60000) return `${(number / 60000).toFixed(1)} min`;
  if (number >= 1000) return `${(number / 1000).toFixed(2)} s`;
  return `${number >= 100 ? number.toFixed(0) : number.toFixed(1)} ms`;
}

/** Rounded down: what is not all of it never reads 100 %. */
export const percent = (text) => (text === null || text === undefined ? UNKNOWN
  : `${(Math.floor(Number(text) * 1000 + 1e-6) / 10).toFixed(1)} %`);

export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let step = 0;
  while (n >= 1024 && step < units.length - 1) { n /= 1024; step += 1; }
  return `${step ? n.toFixed(1) : n} ${units[step]}`;
}

export function clock(when) {
  const at = new Date(when);
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  return at.toDateString() === new Date().toDateString() ? time : `${at.getMonth() + 1}/${at.getDate()} ${time}`;
}

const PARTS = {
  input: "in", cached_input: "cached", cache_write: "cache write", cache_write_1h: "cache write 1h", output: "out",
  reasoning: "reasoning", audio_input: "audio in", audio_output: "audio out",
};

/** 1,200 in × $0.30/M + 340 out × $1.20/M = $0.000768 */
export function formula(lines, total, currency) {
  const terms = lines.map((line) => {
    const free = Number(line.free) ? `(${group(line.quantity)} − ${group(line.free)} free)` : group(line.quantity);
    const rate = line.per === 1000000 ? `${price(line.rate, currency)}/M`
      : line.per === 1 ? price(line.rate, currency) : `${price(line.rate, currency)}/${group(line.per)}`;
    return `${free} ${PARTS[line.part] || line.part} × ${rate}`;
  });
  const sum = total === null || total === undefined ? "not known" : signed(total, currency);
  return `${terms.join(" + ")} = ${sum}`;
}
