// A person's place in a view, across a redraw: what is open, focus and scrolling.

import { unfold } from "./dom.js";

/** What scrolls or has the focus by itself, and has a name to be found by again. */
// eslint-disable-next-line no-restricted-syntax -- a selector
const NAMED = "[id], [role=region], [role=group], a[href], summary, button";

/**
 * What tells an element from others of its view.
 * @param {Element} element
 */
const nameOf = (element) =>
  element.id ||
  [
    element.tagName,
    element.getAttribute("aria-label") ?? "",
    element.getAttribute("href") ?? "",
    element.getAttribute("aria-label") ? "" : (element.textContent ?? "").slice(0, 200),
  ].join("\n");

/**
 * @param {Element} main
 * @param {string} name
 */
const withName = (main, name) =>
  [...main.querySelectorAll(NAMED)].find((each) => nameOf(each) === name);

/**
 * What an element says, but for its numbers, which change with every setting and every trial.
 * @param {Element | null} element
 */
export const wordsOf = (element) => element?.textContent?.replace(/[\d,]+/g, "");
/** @param {Element} part */
const partName = (part) => wordsOf(part.querySelector("summary"));

/**
 * A redraw of what an element holds, across which the details that a person has opened, known by
 * their words without the numbers, stay open.
 * @param {Element} element
 * @param {() => void} redraw
 */
export function keepingOpen(element, redraw) {
  const opened = new Set([...element.querySelectorAll("details[open]:not(.keep)")].map(partName));
  redraw();
  for (const part of element.querySelectorAll("details"))
    if (opened.has(partName(part))) unfold(part);
}

/**
 * Remembers the place; what it returns goes back there, and may be called again when more of the
 * view has arrived.
 * @param {HTMLElement} main
 * @returns {() => void}
 */
export function remember(main) {
  const window_ = [scrollX, scrollY];
  const scrolled = [...main.querySelectorAll(".scroll")]
    .filter((box) => box.scrollLeft || box.scrollTop)
    .map((box) => ({ name: nameOf(box), left: box.scrollLeft, top: box.scrollTop }));
  const active = document.activeElement;
  const focused = active && main.contains(active) ? nameOf(active) : null;
  return () => {
    for (const { name, left, top } of scrolled) withName(main, name)?.scrollTo(left, top);
    // Where what had the focus is not there yet, it is on the view as a whole.
    const now = document.activeElement ?? document.body;
    // Not where a person has moved on to something else meanwhile.
    if (focused !== null && (now === document.body || now === main)) {
      const again = withName(main, focused);
      if (again instanceof HTMLElement) again.focus({ preventScroll: true });
    }
    scrollTo(window_[0], window_[1]);
  };
}
