"use strict";
const main = document.querySelector("main"), trouble = document.querySelector("#trouble");
let shown = main.innerHTML, latest = 0;

function isInSight(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}

// Puts what the page's main part is now in place of what it was, so that the reader notices nothing but the news.
function show(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("main");
  if (fresh.innerHTML === shown) return;
  const focused = document.activeElement.id || document.activeElement.parentElement?.id;
  const opened = [...main.querySelectorAll("details[open]")].map((element) => element.id);
  // News must not move what is being read: what is open and in sight stays where it is, or else the first in sight.
  const anchor = [...main.querySelectorAll("details[open]"), ...main.querySelectorAll("[id]")].find(isInSight);
  const place = anchor?.getBoundingClientRect().top;
  shown = fresh.innerHTML;
  main.replaceChildren(...fresh.childNodes);
  for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
  const again = focused && document.getElementById(focused);
  (again?.querySelector(":scope > summary") ?? again)?.focus({ preventScroll: true });
  const kept = anchor && document.getElementById(anchor.id);
  if (kept) scrollBy(0, kept.getBoundingClientRect().top - place);
}

async function load(address, options) {
  const turn = ++latest;
  try {
    const answer = await fetch(address, options), text = await answer.text();
    if (turn !== latest) return;
    trouble.textContent = answer.ok ? "" : text;
    if (answer.ok) show(text);
  } catch {
    trouble.textContent = "The gateway does not answer: it has ended, or is about to come back.";
  }
}

// Not while a button is held down, whose press would be lost, nor while a text is selected to be copied.
const inUse = () => document.hidden || main.querySelector(":active") || !getSelection().isCollapsed;
const refresh = async () => { if (!inUse()) await load("/"); };

document.querySelector("#fresh").textContent = "The page refreshes by itself.";
document.addEventListener("visibilitychange", refresh);
document.addEventListener("submit", (event) => {
  event.preventDefault();
  load(event.target.action, { method: "POST" });
});
(async function again() {
  await refresh();
  setTimeout(again, 1000);
})();
