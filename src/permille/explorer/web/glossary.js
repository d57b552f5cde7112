// Words of the field, explained where they stand: by hover, focus and touch.

import { h } from "./dom.js";
import TERMS from "./glossary.json";
import { say, word } from "./say.js";

/** @import { Child } from "./page" */

/** @typedef {keyof typeof TERMS} Term */

const HOVER_MS = 250;
const GAP = 6;
let made = 0;

/**
 * A word with its explanation: a button that shows it, and so does a pointer that rests there.
 * Escape and a click elsewhere hide it, as the browser does for every popover.
 * @param {Term} id
 * @param {Child} [text] the word as it stands in its sentence
 * @returns {Child}
 */
export function term(id, text = word("glossary", TERMS[id].term)) {
  made += 1;
  const popup = h(
    "span",
    { class: "explained", popover: "auto", id: `term-${made}`, role: "note" },
    h("strong", {}, word("glossary", TERMS[id].term)),
    ` ${word("glossary", TERMS[id].text)}`,
  );
  const button = h("button", { type: "button", class: "term", popovertarget: popup.id }, text);
  popup.addEventListener("toggle", () => {
    if (popup.matches(":popover-open")) stand(popup, button.getBoundingClientRect());
  });
  byPointer(button, popup);
  return [button, popup];
}

/**
 * The label of a field, and beside it a button that explains it: within the label, a click on it
 * would go to the field.
 * @param {string} field the id of the field
 * @param {Child} label
 * @param {Term} [id]
 * @returns {HTMLElement}
 */
export function labelled(field, label, id) {
  const words = h("label", { for: field }, label);
  if (!id) return words;
  const mark = [
    h("span", { class: "why", "aria-hidden": "true" }, "?"),
    h("span", { class: "hidden" }, say`What it means: ${word("glossary", TERMS[id].term)}`),
  ];
  return h("div", { class: "explains" }, words, term(id, mark));
}

/**
 * Below the word, and within the window.
 * @param {HTMLElement} popup
 * @param {DOMRect} at where the word is
 */
function stand(popup, at) {
  // By hand: an open popover is in the top layer, and is not laid out by what holds it.
  const { offsetWidth: width, offsetHeight: height } = popup;
  const left = Math.max(GAP, Math.min(at.left, innerWidth - width - GAP));
  const below = at.bottom + GAP;
  popup.style.left = `${left}px`;
  popup.style.top = `${below + height > innerHeight ? at.top - height - GAP : below}px`;
}

/**
 * A mouse that rests on the word shows the explanation, until it leaves both.
 * @param {HTMLElement} button
 * @param {HTMLElement} popup
 */
function byPointer(button, popup) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let waits;
  /** @param {boolean} open */
  const soon = (open) => {
    clearTimeout(waits);
    waits = setTimeout(() => {
      if (popup.isConnected && popup.matches(":popover-open") !== open) popup.togglePopover(open);
    }, HOVER_MS);
  };
  for (const part of [button, popup]) {
    // A finger's tap enters and leaves as well, and would hide what its click shows.
    part.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && soon(true));
    part.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && soon(false));
  }
  // A click has the last word: a hover that still waits would undo it.
  button.addEventListener("click", () => clearTimeout(waits));
}

/** All of them, for About. */
export function glossary() {
  return h(
    "section",
    { id: "glossary" },
    h("h2", {}, say`Glossary`),
    h(
      "dl",
      {},
      Object.values(TERMS).flatMap(({ term: title, text }) => [
        h("dt", {}, word("glossary", title)),
        h("dd", {}, word("glossary", text)),
      ]),
    ),
  );
}
