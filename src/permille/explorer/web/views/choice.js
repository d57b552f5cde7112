// A list of choices with its label, beside what a view asks.

import { h } from "../dom.js";

/**
 * @param {string} id
 * @param {string} label
 * @param {[value: string, words: string][]} options
 * @param {string} now
 * @param {(value: string) => void} change
 */
export function choice(id, label, options, now, change) {
  return h(
    "div",
    { class: "field wide" },
    h("label", { for: id }, label),
    h(
      "select",
      { id, onchange: (e) => change(e.target.value) },
      options.map(([value, words]) => h("option", { value, selected: value === now }, words)),
    ),
  );
}
