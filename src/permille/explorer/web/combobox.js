// A field with a list of options, found by words in any order ("t5 flan"). ARIA's combobox.

import { clean, h, replaceChildren } from "./dom.js";
import { say } from "./say.js";

/**
 * `note` says more of an option (a model's task) and is searched too.
 * @typedef {{ value: string; text: string; note?: string; disabled?: boolean }} Option
 */

/** How many options a list has at once: nobody reads on, and thousands would take their time. */
const LISTED = 200;

/**
 * In small letters and without accents: São Paulo is found as sao, too.
 * @param {string} text
 */
const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

/** @param {string} text */
const wordsOf = (text) =>
  plain(text)
    .split(/[^\p{L}\p{N}.]+/u)
    .filter(Boolean);

/**
 * The options that have every word of the question, those where each begins a word first.
 * @param {Option[]} options
 * @param {string} question
 */
export function matching(options, question) {
  const asked = wordsOf(question);
  if (!asked.length) return options;
  /** @type {[Option[], Option[]]} */
  const found = [[], []];
  for (const option of options) {
    const text = plain(`${option.text} ${option.note ?? ""}`);
    if (!asked.every((word) => text.includes(word))) continue;
    const words = wordsOf(text);
    const begins = asked.every((word) => words.some((each) => each.startsWith(word)));
    found[begins ? 0 : 1].push(option);
  }
  return found.flat();
}

/**
 * @param {string} id
 * @param {string} label what the list is called
 * @param {() => Option[]} options asked for when the list opens
 * @param {(value: string) => void} change a person has chosen
 * @param {string} [placeholder] shown where nothing is chosen
 */
export function combobox(id, label, options, change, placeholder = "") {
  /** What is chosen, and how it reads. */
  let value = "",
    text = "";
  /** @type {Option[]} */
  let listed = [];
  let active = -1;
  // The focus stays in the field, which names the option at hand (aria-activedescendant): typing
  // goes on while the arrow keys move (https://www.w3.org/WAI/ARIA/apg/patterns/combobox/).
  const list = h("ul", { id: `${id}-list`, role: "listbox", "aria-label": label });
  const more = h("p", { class: "note", role: "status" });
  const popup = h("div", { class: "popup", hidden: true }, list, more);
  const input = h("input", {
    id,
    type: "text",
    role: "combobox",
    autocomplete: "off",
    spellcheck: "false",
    maxlength: "300",
    placeholder,
    "aria-expanded": "false",
    "aria-controls": list.id,
    "aria-autocomplete": "list",
    onclick: () => isOpen() || open(""),
    oninput: () => open(input.value),
    onblur: close,
    onkeydown: (e) => key(/** @type {KeyboardEvent} */ (/** @type {Event} */ (e))),
  });
  // The field keeps the focus while an option is pressed.
  popup.addEventListener("mousedown", (e) => e.preventDefault());
  list.addEventListener("click", (e) => {
    const pressed = e.target instanceof Element ? e.target.closest("[role=option]") : null;
    if (pressed) choose([...list.children].indexOf(pressed));
  });

  const isOpen = () => !popup.hidden;

  /** @param {string} question */
  function open(question) {
    if (!question && !isOpen()) input.select(); // what is typed takes its place
    const all = options(),
      found = matching(all, question),
      now = all.find((each) => each.value === value);
    listed = found.slice(0, LISTED);
    if (!question && now && !listed.includes(now)) listed.unshift(now);
    replaceChildren(list, listed.map(item));
    const left = found.length - listed.length;
    more.textContent = !found.length
      ? say`Nothing has these words.`
      : left > 0
        ? say`… and ${left} more: type a word of it`
        : "";
    popup.hidden = false;
    // In the right half of a window, a list that begins at the field's left edge would leave it.
    popup.classList.toggle("left", input.getBoundingClientRect().left > innerWidth / 2);
    input.setAttribute("aria-expanded", "true");
    // What is typed picks the first; a list that is merely opened stands at what is chosen.
    const first = listed.findIndex((each) => !each.disabled);
    point(question ? first : listed.findIndex((each) => each.value === value));
  }

  /**
   * @param {Option} option
   * @param {number} i
   */
  function item(option, i) {
    return h(
      "li",
      {
        id: `${id}-${i}`,
        role: "option",
        "aria-selected": String(option.value === value),
        "aria-disabled": option.disabled ? "true" : null,
      },
      h("bdi", {}, clean(option.text, 90)),
      option.note ? h("small", {}, " ", clean(option.note, 90)) : null,
    );
  }

  function close() {
    popup.hidden = true;
    list.replaceChildren();
    listed = [];
    active = -1;
    input.value = text;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  /** @param {number} i */
  function point(i) {
    list.children[active]?.classList.remove("at");
    active = i;
    const at = list.children[i];
    if (!at) {
      input.removeAttribute("aria-activedescendant");
      return;
    }
    at.classList.add("at");
    at.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", at.id);
  }

  /** @param {number} i */
  function choose(i) {
    const option = listed[i];
    if (!option || option.disabled) return;
    const changed = option.value !== value;
    close();
    if (changed) change(option.value); // which shows it, once the state has it
  }

  /** @param {KeyboardEvent} e */
  function key(e) {
    if (e.key === "Escape" && isOpen()) close();
    else if (e.key === "Enter" && isOpen()) choose(active);
    else if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      if (!isOpen()) open("");
      else step(e.key === "ArrowDown" ? 1 : -1);
    } else if (isOpen() && e.key === "Home") point(0);
    else if (isOpen() && e.key === "End") point(listed.length - 1);
    else return;
    e.preventDefault();
  }

  /** @param {1 | -1} by */
  function step(by) {
    if (active < 0) point(by > 0 ? 0 : listed.length - 1);
    else point(Math.min(listed.length - 1, Math.max(0, active + by)));
  }

  /**
   * What is chosen, from the address.
   * @param {string} next
   * @param {string} words
   */
  function show(next, words) {
    value = next;
    text = clean(words, 90);
    input.dataset.value = next;
    // New trials may draw the page anew while a person types.
    if (!isOpen()) input.value = text;
  }

  return { element: h("div", { class: "combo" }, input, popup), show };
}
