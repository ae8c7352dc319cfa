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
  // A button that is disabled now cannot have the focus: the row's other button can.
  const focusable = focus?.disabled ? focus.closest("tr, section").querySelector("button:enabled") : focus;
  (focusable?.querySelector(":scope > summary") ?? focusable)?.focus({ preventScroll: true });
  const kept = anchor && document.getElementById(anchor.id);
  if (kept) scrollBy(0, kept.getBoundingClientRect().top - place);
}

async function load() {
  const turn = ++latest;
  try {
    const response = await fetch("/"), text = await response.text();
    if (turn !== latest) return;
    problem.textContent = response.ok ? "" : text;
    if (response.ok) show(text);
  } catch {
    problem.textContent = "The simulator does not respond: it has stopped or is restarting.";
  }
}

async function act({ method = "POST", path }) {
  try {
    await fetch("/_simulator" + path, { method });
  } finally {
    await load(); // which shows what is wrong if there was no response
  }
}

async function copy(button) {
  const copied = document.querySelector("#copied");
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    copied.textContent = "Copied";
    button.classList.add("done");
  } catch {
    copied.textContent = "The browser did not allow copying.";
  }
  setTimeout(() => {
    copied.textContent = "";
    button.classList.remove("done");
  }, 1500);
}

// A refresh would lose the press of a button that is held down, and the selection of a text to copy.
const inUse = () => document.hidden || main.querySelector(":active") || !getSelection().isCollapsed;
const refresh = async () => { if (!inUse()) await load(); };

document.documentElement.classList.add("live");
document.querySelector("#fresh").textContent = "The page updates automatically.";
document.addEventListener("visibilitychange", refresh);
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.copy) copy(button);
  else if (button) act(button.dataset);
});
(async function refreshRegularly() {
  await refresh();
  setTimeout(refreshRegularly, 1000);
})();
