"use strict";
const main = document.querySelector("main"), problem = document.querySelector("#problem");
let shown = main.innerHTML, latest = 0;

function isVisible(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}

// Replaces the main part of the page. Focus, open details and the scroll position stay.
function show(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("main");
  if (fresh.innerHTML === shown) return;
  const focused = document.activeElement.id || document.activeElement.parentElement?.id;
  const opened = [...main.querySelectorAll("details[open]")].map((element) => element.id);
  // New rows must not move what is being read: keep the first open details in place, or the first visible row.
  const anchor = [...main.querySelectorAll("details[open]"), ...main.querySelectorAll("[id]")].find(isVisible);
  const place = anchor?.getBoundingClientRect().top;
  shown = fresh.innerHTML;
  main.replaceChildren(...fresh.childNodes);
  for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
  const focus = focused && document.getElementById(focused);
  (focus?.querySelector(":scope > summary") ?? focus)?.focus({ preventScroll: true });
  const kept = anchor && document.getElementById(anchor.id);
  if (kept) scrollBy(0, kept.getBoundingClientRect().top - place);
}

async function load(address, options) {
  const turn = ++latest;
  try {
    const response = await fetch(address, options), text = await response.text();
    if (turn !== latest) return;
    problem.textContent = response.ok ? "" : text;
    if (response.ok) show(text);
  } catch {
    problem.textContent = "The simulator does not respond: it has stopped or is restarting.";
  }
}

// A refresh would lose the press of a button that is held down, and the selection of a text to copy.
const inUse = () => document.hidden || main.querySelector(":active") || !getSelection().isCollapsed;
const refresh = async () => { if (!inUse()) await load("/"); };

document.querySelector("#fresh").textContent = "The page updates automatically.";
document.addEventListener("visibilitychange", refresh);
document.addEventListener("submit", (event) => {
  event.preventDefault();
  load(event.target.action, { method: "POST" });
});
(async function refreshRegularly() {
  await refresh();
  setTimeout(refreshRegularly, 1000);
})();
