// Elements from data. Text is always set as text, so a hostile name stays a name.

const SVG = new Set(["svg"]);

/** An element: h("p", {class: "x", onclick: f}, "text", child, …). null and false are skipped. */
export function h(tag, attributes = {}, ...children) {
  const element = SVG.has(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "open") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child);
  }
}

const LONGEST = 160;

/** A foreign name on one line: no control, format or bidirectional characters, bounded. */
export function clean(text, longest = LONGEST) {
  const plain = String(text).replace(/\p{C}/gu, " ");
  return plain.length <= longest ? plain : plain.slice(0, longest - 1) + "…";
}

/** A foreign name as an element of its own direction. */
export function name(text, attributes = {}) {
  return h("bdi", attributes, clean(text));
}

/** A table: columns are [heading, cell(row) , {number: true}]. The first is the row's heading. */
export function table(caption, columns, rows, attributes = {}) {
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      attributes,
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, columns.map(([heading, , how]) =>
        h("th", { scope: "col", class: how?.number ? "number" : null }, heading)))),
      h("tbody", {}, rows.map((row) =>
        h("tr", {}, columns.map(([, cell, how], i) =>
          h(i ? "td" : "th", { scope: i ? null : "row", class: how?.number ? "number" : null },
            cell(row)))))),
    ),
  );
}

/** What `map` itself has under `key`: "constructor" as a foreign name finds nothing. */
export const own = (map, key) => (map && Object.hasOwn(map, key) ? map[key] : undefined);

/** Offers text or a blob as a file. */
export function download(content, type, file) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = h("a", { href: url, download: file });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
