// What the page says, in its reader's language: English as it stands in the source, or the words
// that a catalogue has for it.

import { h, own } from "./dom.js";

/** @import { Child } from "./page" */

/**
 * `sentences`: by the English of `say`, with {0}, {1}, … where its values stand. `words`: what is
 * said of values that come with the figures, by their kind.
 * @typedef {object} Messages
 * @property {{ [english: string]: string }} sentences
 * @property {{ [kind: string]: { [value: string]: string } }} words
 */

/** @type {Messages} */
const ENGLISH = { sentences: {}, words: {} };

let language = "en";
let messages = ENGLISH;

/**
 * Chooses the language, before anything is said: what the modules keep of their words stays.
 * @param {string} chosen
 * @param {Messages} [found]
 */
export function speak(chosen, found = ENGLISH) {
  language = chosen;
  messages = found;
}

export const spoken = () => language;

// A template has the same array of texts each time (ECMA-262, GetTemplateObject).
/** @type {WeakMap<TemplateStringsArray, (string | number)[]>} */
const known = new WeakMap();

/**
 * say`${count} of ${total} cells`: text, or children where a value is an element, which another
 * language may put elsewhere. A line break counts as a space.
 * @template {Child[]} Values
 * @param {TemplateStringsArray} texts
 * @param {Values} values
 * @returns {Values extends (string | number)[] ? string : Child[]}
 */
export function say(texts, ...values) {
  let form = known.get(texts);
  if (!form) known.set(texts, (form = formOf(texts)));
  const parts = form.map((part) => (typeof part === "number" ? values[part] : part));
  const plain = values.every((value) => typeof value === "string" || typeof value === "number");
  return /** @type {any} */ (plain ? parts.join("") : parts);
}

/**
 * The sentence as the catalogue names it.
 * @param {readonly string[]} texts
 */
export const keyOf = (texts) =>
  texts
    .map((text, i) => (i ? `{${i - 1}}${text}` : text))
    .join("")
    .replace(/\s*\n\s*/g, " ");

/**
 * Texts, and the numbers of the values that stand between them.
 * @param {readonly string[]} texts
 */
function formOf(texts) {
  const key = keyOf(texts);
  // One digit: no sentence has more than ten values.
  const parts = (own(messages.sentences, key) ?? key).split(/\{(\d)\}/);
  return parts.map((part, i) => (i % 2 ? Number(part) : part));
}

/**
 * A value of the figures in the reader's words, where its kind has any for it: a task of somebody's
 * own stays as it is.
 * @param {string} kind
 * @param {string} value
 * @param {string} [otherwise]
 */
export const word = (kind, value, otherwise = value) =>
  own(own(messages.words, kind), value) ?? otherwise;

/**
 * A sentence that comes with the figures and is English in every language; `kind` is that of
 * those that have a translation.
 * @param {string} text
 * @param {string} [kind]
 * @returns {Child}
 */
export function english(text, kind = "") {
  const translated = word(kind, text, "") || withValues(kind, text);
  if (translated) return translated;
  return language === "en" ? text : h("span", { lang: "en" }, text);
}

/**
 * Sentences of one kind that the figures have joined by semicolons, each in the reader's language
 * where it has a translation.
 * @param {string} text
 * @param {string} kind
 * @returns {Child}
 */
export const joined = (text, kind) =>
  text
    .split("; ")
    .map((part) => english(part, kind))
    .reduce((before, part) => say`${before}; ${part}`);

/**
 * The translation of a sentence that has values in it, by the one of its kind that has {0}, {1}, …
 * in their places; "" where there is none.
 * @param {string} kind
 * @param {string} text
 */
function withValues(kind, text) {
  for (const [sentence, translation] of Object.entries(own(messages.words, kind) ?? {})) {
    const values = sentence.includes("{0}") && valuesIn(sentence, text);
    if (values) return translation.replace(/\{(\d)\}/g, (_, i) => values[Number(i)]);
  }
  return "";
}

/**
 * @param {string} sentence
 * @param {string} text
 */
function valuesIn(sentence, text) {
  const fixed = sentence.split(/\{\d\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  // A value is short, so that foreign text takes no long search.
  return new RegExp(`^${fixed.join("(.{1,40}?)")}$`).exec(text)?.slice(1) ?? null;
}
