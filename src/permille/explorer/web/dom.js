// Elements from data. Text is always set as text, so a hostile name stays a name.

/** @import { Attributes, Child, Column } from "./page" */

/** What is set as a property, since the attribute is the initial value alone. */
const PROPERTIES = new Set(["value", "checked", "open"]);

/**
 * An element: h("p", {class: "x", onclick: f}, "text", child, …). null and false are skipped.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function")
      element.addEventListener(key.slice(2), /** @type {EventListener} */ (value));
    else if (PROPERTIES.has(key)) Object.assign(element, { [key]: value });
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/**
 * @param {Element} element
 * @param {Child[]} children
 */
function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(typeof child === "number" ? String(child) : child);
  }
}

/**
 * What an element holds, exchanged for something else.
 * @param {Element} element
 * @param {Child} child
 */
export function replaceChildren(element, child) {
  element.replaceChildren();
  append(element, [child]);
}

/**
 * The text of an element, where it changes: what is written to is laid out, even the same.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Details whose content is made when they are opened.
 * @param {Child} title
 * @param {() => Child} content
 */
export function folded(title, content) {
  const part = h(
    "details",
    {
      ontoggle: () => {
        if (part.open && part.childElementCount === 1) append(part, [content()]);
      },
    },
    h("summary", {}, title),
  );
  return part;
}

/**
 * Opens details; what they hold is there at once.
 * @param {HTMLDetailsElement} part
 */
export function unfold(part) {
  part.open = true;
  part.dispatchEvent(new Event("toggle"));
}

const LONGEST = 160;

/**
 * A foreign name on one line: no control, format or bidirectional characters, bounded.
 * @param {unknown} text
 * @param {number} [longest]
 */
export function clean(text, longest = LONGEST) {
  const plain = String(text).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, " ");
  return plain.length <= longest ? plain : plain.slice(0, longest - 1) + "…";
}

/**
 * A foreign name as an element of its own direction.
 * @param {unknown} text
 * @param {Attributes} [attributes]
 */
export function name(text, attributes = {}) {
  return h("bdi", attributes, clean(text));
}

/**
 * A table: columns are [heading, cell(row) , {number: true}]. The first is the row's heading.
 * @template Row
 * @param {string} caption
 * @param {Column<Row>[]} columns
 * @param {readonly Row[]} rows
 * @param {Attributes} [attributes]
 */
export function table(caption, columns, rows, attributes = {}) {
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      attributes,
      h("caption", {}, caption),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          columns.map(([heading, , how]) =>
            h("th", { scope: "col", class: how?.number ? "number" : null }, heading),
          ),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            {},
            columns.map(([, cell, how], i) =>
              h(
                i ? "td" : "th",
                { scope: i ? null : "row", class: how?.number ? "number" : null },
                cell(row),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}

/**
 * What `map` itself has under `key`: "constructor" as a foreign name finds nothing.
 * @template Value
 * @param {{ [key: string]: Value } | null | undefined} map
 * @param {string} key
 * @returns {Value | undefined}
 */
export const own = (map, key) => (map && Object.hasOwn(map, key) ? map[key] : undefined);

/**
 * Offers text or a blob as a file.
 * @param {BlobPart} content
 * @param {string} type
 * @param {string} file
 */
export function download(content, type, file) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = h("a", { href: url, download: file });
  document.body.append(link);
  link.click();
  link.remove();
  // click() returns before the browser has read the blob.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/**
 * A link to another site, where the address is one.
 * @param {string} address
 * @param {Child} text
 * @returns {Child}
 */
export const site = (address, text) =>
  // An address comes with the data: javascript: would run when it is followed.
  /^https:\/\//.test(address) ? h("a", { href: address, rel: "noreferrer" }, text) : text;
