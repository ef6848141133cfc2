// The admin API: GETs that change nothing. A 401 opens the login, once for everybody who asks.
import { byId } from "./dom.js";

let opened = null;

export async function ask(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== null && one !== "") query.append(name, one);
  }
  const text = query.toString();
  const answer = await fetch(text ? `${path}?${text}` : path, { credentials: "same-origin", cache: "no-store" });
  if (answer.status === 401) {
    await login();
    return ask(path, parameters);
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.message || `${path}: ${answer.status}`);
  return body;
}

function login() {
  opened ??= new Promise((resolve) => {
    const dialog = byId("login");
    const form = byId("login-form");
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    form.onsubmit = async (event) => {
      event.preventDefault();
      const answer = await fetch("/api/login", { headers: { Authorization: `Bearer ${byId("token").value}` } });
      byId("token").value = "";
      if (!answer.ok) {
        byId("login-said").textContent = "That is not the admin token.";
        return;
      }
      byId("login-said").textContent = "";
      byId("logout").hidden = false;
      dialog.close();
      opened = null;
      resolve();
    };
    dialog.showModal();
  });
  return opened;
}

export async function logout() {
  await fetch("/api/logout");
  location.reload();
}
