// Everything on screen, in the address: the query where served, the hash in a file.

export const DEFAULTS = {
  view: "overview",
  task: "", dataset: "", search: "", category: "", architecture: "", provenance: "", device: "",
  study: "", origin: "", least: "", most: "",
  boundary: "compute", net: "", unit: "kwh", region: "", year: "", intensity: "", pue: "",
  day: "1000000", colour: "category", training: "",
  cell: "", model: "", uid: "", m: [],
  sort: "task", dir: "up", rows: "",
};

/** What narrows the selection. */
export const FILTERS = ["task", "dataset", "model", "search", "category", "architecture",
  "provenance", "device", "study", "origin", "least", "most"].filter((f) => f !== "model");

const LONGEST = 300;
const inFile = location.protocol === "file:" || document.getElementById("document") !== null;

export function read() {
  const text = inFile ? location.hash.slice(1) : location.search;
  const asked = new URLSearchParams(text);
  const state = {};
  for (const [field, plain] of Object.entries(DEFAULTS)) {
    if (Array.isArray(plain)) state[field] = [...new Set(asked.getAll(field))].slice(0, 6);
    else state[field] = (asked.get(field) ?? plain).slice(0, 10_000);
  }
  return state;
}

export function query(state, only = Object.keys(DEFAULTS)) {
  const asked = new URLSearchParams();
  for (const field of only) {
    const value = state[field], plain = DEFAULTS[field];
    if (Array.isArray(plain)) value.forEach((v) => asked.append(field, v));
    else if (value !== plain && value !== "") asked.set(field, String(value));
  }
  return asked.toString();
}

/** The address of this state with some of it changed: every view is a link. */
export function href(state, changes = {}) {
  const text = query({ ...state, ...changes });
  return inFile ? `#${text}` : `/${text ? `?${text}` : ""}`;
}

/** What the server is asked for, of this selection; a value too long for it is cut there. */
export function rowsQuery(state) {
  const asked = { ...state, m: [] };
  for (const field of FILTERS) asked[field] = asked[field].slice(0, LONGEST);
  return query(asked, [...FILTERS, "boundary", "net", "region", "year", "intensity", "pue"]);
}

export function write(state, { replace = false } = {}) {
  const address = href(state);
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
}

export { inFile };
