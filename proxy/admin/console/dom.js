// Elements are made here and nowhere else: whatever came from outside becomes text, never markup.
export const byId = (id) => document.getElementById(id);

/** el("td", {class: "num", title: "x"}, "text", otherElement, null) */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined) continue;
    made.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return made;
}

export function fill(target, ...children) {
  target.replaceChildren(...children.flat().filter(Boolean));
}

export function table(target, headings, rows) {
  fill(target,
    el("thead", {}, el("tr", {}, headings.map(([text, cls]) => el("th", { scope: "col", class: cls }, text)))),
    el("tbody", {}, rows));
}

export const pill = (text, state) => el("span", { class: `pill ${state}` }, text);

export function card(title, value, ...more) {
  return el("div", { class: "card" }, el("h3", {}, title), el("p", { class: "big" }, value), more);
}
