// Cells over columns: a cell holds the number of its row; a column is read when it is asked for.

/** @import { Cell, Columns } from "./document" */

/**
 * @typedef {{ of?: unknown[]; at?: number[]; all?: unknown; as?: string; from?: number;
 *   before?: Packed | unknown[] }} Packed
 */
/** @typedef {(row: number) => unknown} Reader */

/**
 * Cells from columns. The names of the columns are on their common prototype, so that a cell is as
 * small however many columns there are.
 * @param {Columns} sent
 * @returns {Cell[]}
 */
export function cells({ count, columns }) {
  class Row {
    /** @param {number} row */
    constructor(row) {
      this.row = row;
    }
  }
  addColumns(Row.prototype, columns);
  const found = Array.from({ length: count }, (_, row) => new Row(row));
  return /** @type {Cell[]} */ (/** @type {unknown} */ (found));
}

/**
 * Gives cells that `cells` has made more columns.
 * @param {Cell[]} found
 * @param {Columns["columns"]} columns
 */
export function fill(found, columns) {
  if (found.length) addColumns(Object.getPrototypeOf(found[0]), columns);
}

/**
 * @param {object} prototype
 * @param {Columns["columns"]} columns
 */
function addColumns(prototype, columns) {
  /** @type {Map<string, Reader>} */
  const readers = new Map();
  for (const [name, column] of Object.entries(columns)) {
    const read = reader(/** @type {Packed | unknown[]} */ (column), readers);
    // In the order of the document, where a column stands behind the one that it is the same as.
    readers.set(name, read);
    Object.defineProperty(prototype, name, {
      enumerable: true,
      /** @this {{ row: number }} */
      get() {
        return read(this.row);
      },
    });
  }
}

/**
 * What reads a column. Numbers are kept as eight bytes each, where null is NaN: JSON has none.
 * @param {Packed | unknown[]} packed
 * @param {Map<string, Reader>} others those of the columns that stand before it
 * @returns {Reader}
 */
function reader(packed, others) {
  if (Array.isArray(packed)) {
    if (!packed.every((value) => value === null || typeof value === "number"))
      return (row) => packed[row];
    const numbers = Float64Array.from(packed, (value) => value ?? NaN);
    return (row) => (Number.isNaN(numbers[row]) ? null : numbers[row]);
  }
  const { of, at, all, as, from, before } = packed;
  if (before && from) {
    const first = reader(before, others),
      rest = reader(as === undefined ? { all } : { as }, others);
    return (row) => (row < from ? first(row) : rest(row));
  }
  if (as !== undefined) return /** @type {Reader} */ (others.get(as));
  if (!of || !at) return () => all;
  const places = of.length > 0xffff ? Uint32Array.from(at) : Uint16Array.from(at);
  return (row) => of[places[row]];
}
