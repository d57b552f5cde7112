// New trials while the page is open: asks the server whether the store changed, and takes the
// figures in while no hand is on the page.

import { clean, h } from "./dom.js";
import { number } from "./format.js";
import { remember } from "./place.js";
import { say } from "./say.js";
import { answerTo, newest, NoAnswer } from "./source.js";

/** @import { App } from "./main.js" */
/** @import { Found } from "./source.js" */

const PAUSE_MS = 2_000;
/** Reading a large store anew may take a tenth of the time: a longer pause follows. */
const SHARE = 10;
const STILL_MS = 1_000;

/** @param {App} app */
const trials = (app) =>
  app.cells.reduce(
    (sum, c) => (c.origin === "store" ? sum + c.done + c.failed + c.invalid : sum),
    0,
  );

/**
 * A line that says what came since the page was opened; empty in a file.
 * @param {App} app
 */
export function live(app) {
  const line = h("p", { class: "live", role: "status" });
  if (!app.inFile) follow(app, line);
  return line;
}

/**
 * What the line says before anything came.
 * @param {App} app
 */
const before = ({ data }) =>
  data.store_exists || !data.store ? "" : say`There is no store ${clean(data.store, 60)} yet.`;

/**
 * @param {App} app
 * @param {HTMLElement} line
 */
function follow(app, line) {
  const first = trials(app);
  const busy = hands(app.main);
  let news = before(app),
    revision = "",
    asking = false;
  line.textContent = news;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let waiting;

  async function ask() {
    if (asking) return;
    asking = true;
    const began = performance.now();
    const words = await look().catch((error) =>
      error instanceof NoAnswer
        ? say`The server does not answer.`
        : say`Nothing new: ${error.message}`,
    );
    // A status is read out whenever it is set.
    if (line.textContent !== words) line.textContent = words;
    asking = false;
    // After the answer, not at an interval: a slow server is never asked twice at once.
    later(Math.max(PAUSE_MS, SHARE * (performance.now() - began)));
  }

  /** What the line says. The figures are never older than the revision asked for before them. */
  async function look() {
    const now = await (await answerTo("/revision")).text();
    if (now === revision || busy()) return news;
    const found = await newest(app.detailed !== null);
    if (found.tag !== app.tag) {
      // Asked again: while the figures came, a hand may have, too.
      if (busy()) return news;
      takeIn(app, found);
      news = newsOf(trials(app) - first);
    }
    revision = now;
    return news;
  }

  /** @param {number} ms */
  function later(ms) {
    clearTimeout(waiting);
    // A page in a tab that nobody sees asks for nothing: visibilitychange begins again.
    if (!document.hidden) waiting = setTimeout(ask, ms);
  }
  document.addEventListener("visibilitychange", () => later(0));
  later(PAUSE_MS);
}

/**
 * Draws the view anew where the person is. What it asks the server for comes later.
 * @param {App} app
 * @param {Found} found
 */
function takeIn(app, found) {
  const { main } = app;
  const goBack = remember(main);
  // While the view is empty, the page would be too short to be scrolled where it was.
  main.style.minHeight = `${main.offsetHeight}px`;
  app.take(found);
  app.render();
  goBack();
  // Charts are drawn when their width is known.
  requestAnimationFrame(() => requestAnimationFrame(goBack));
  Promise.allSettled(app.awaited).then(() => {
    main.style.minHeight = "";
    goBack();
  });
}

/** @param {number} count */
function newsOf(count) {
  const what = count === 1 ? say`1 new trial` : say`${number(count, 9)} new trials`;
  return say`${count > 0 ? what : say`New figures`}, ${new Date().toTimeString().slice(0, 5)}`;
}

/**
 * Whether a person is at something that a redraw would take away: typing, dragging, scrolling, a
 * list of choices or a menu that is open.
 * @param {HTMLElement} main
 * @returns {() => boolean}
 */
function hands(main) {
  let moved = -Infinity,
    down = false;
  // No event says whether the list of a select is open: from a press on it, it is taken to be.
  /** @type {EventTarget | null} */
  let choosing = null;
  /** @param {Event} event */
  const touched = ({ type, target }) => {
    moved = performance.now();
    if (type === "pointerdown") down = true;
    if (type === "pointerup" || type === "pointercancel") down = false;
    if (type === "pointerdown" || type === "keydown")
      choosing = target instanceof HTMLSelectElement && main.contains(target) ? target : null;
    if (type === "change" || type === "focusout") choosing = null;
  };
  for (const type of [
    ...["pointerdown", "pointerup", "pointercancel", "keydown", "input", "change", "focusout"],
    ...["wheel", "touchmove"],
  ])
    // In the capture phase: a handler below may stop an event from bubbling.
    addEventListener(type, touched, { capture: true, passive: true });
  return () =>
    down ||
    choosing !== null ||
    performance.now() - moved < STILL_MS ||
    main.querySelector(".keep[open], [aria-expanded=true]") !== null;
}
