// Puts the parts together, and asks each of them anew at its own pace while the page is looked at.
import { logout } from "./api.js";
import { startLive, startSearch } from "./calls.js";
import { draw, refreshCharts, startCharts } from "./charts.js";
import { byId } from "./dom.js";
import { refreshHealth, refreshProviders, refreshSpend, refreshTargets } from "./panels.js";

const period = byId("period");
const parts = [
  { every_s: 10, run: refreshSpend },
  { every_s: 30, run: () => refreshCharts(period.value) },
  { every_s: 60, run: () => refreshProviders(period.value) },
  { every_s: 60, run: refreshTargets },
  { every_s: 10, run: refreshHealth },
];
const troubles = new Map();

async function refresh(part) {
  try {
    await part.run();
    troubles.delete(part);
  } catch (error) {
    troubles.set(part, error.message);
  }
  const said = [...new Set(troubles.values())].join(" ");
  byId("notice").textContent = said;
  byId("notice").hidden = !said;
}

async function keep(part) {
  for (;;) {
    // A page that nobody looks at asks nothing.
    if (!document.hidden) await refresh(part);
    await new Promise((resolve) => setTimeout(resolve, part.every_s * 1000));
  }
}

function switchTheme() {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const wanted = dark ? "light" : "dark";
  document.documentElement.dataset.theme = wanted;
  try { localStorage.setItem("taximeter-theme", wanted); } catch { /* for this page only, then */ }
  draw();
}

byId("theme").onclick = switchTheme;
byId("logout").onclick = logout;
byId("logout").hidden = ["127.0.0.1", "[::1]", "localhost"].includes(location.hostname);
period.onchange = () => { refresh(parts[1]); refresh(parts[2]); };
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
startSearch();
startCharts();
startLive();
parts.forEach(keep);
