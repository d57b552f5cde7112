// A list of choices with its label, beside what a view asks.

import { h } from "../dom.js";
import { labelled } from "../glossary.js";

/** @import { Term } from "../glossary.js" */

/**
 * @param {string} id
 * @param {string} label
 * @param {[value: string, words: string][]} options
 * @param {string} now
 * @param {(value: string) => void} change
 * @param {Term} [word] that explains it
 */
export function choice(id, label, options, now, change, word) {
  return h(
    "div",
    { class: "field wide" },
    labelled(id, label, word),
    h(
      "select",
      { id, onchange: (e) => change(e.target.value) },
      options.map(([value, words]) => h("option", { value, selected: value === now }, words)),
    ),
  );
}
