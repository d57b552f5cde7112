// Rows as a Parquet file: one row group, plain encoding, not compressed, every column optional.
// The format is that of parquet-format 2.9 (parquet.thrift), its headers in Thrift's compact
// protocol.

/**
 * @typedef {keyof typeof TYPES} Kind
 * @typedef {[name: string, kind: Kind, values: any[]]} ParquetColumn
 * @typedef {[id: number, type: number, value: any]} Field
 */

const TYPES = { boolean: 0, long: 2, double: 5, text: 6 };
const I32 = 5,
  I64 = 6,
  BINARY = 8,
  LIST = 9,
  STRUCT = 12; // Thrift's names of types
const PLAIN = 0,
  RLE = 3,
  OPTIONAL = 1,
  UTF8 = 0;
const MAGIC = [80, 65, 82, 49]; // PAR1

/**
 * `columns` are [name, kind, values] of one length, kind "text", "long", "double" or "boolean".
 * @param {ParquetColumn[]} columns
 * @param {number} rows
 */
export function parquet(columns, rows) {
  const parts = [Uint8Array.from(MAGIC)];
  let at = MAGIC.length;
  const chunks = columns.map(([name, kind, values]) => {
    const page = joined([
      // In a data page of version 1 the levels come first; a value that is missing has no more than
      // its level.
      levels(values),
      plain(
        kind,
        values.filter((v) => v !== null),
      ),
    ]);
    const header = struct([
      [1, I32, 0],
      [2, I32, page.length],
      [3, I32, page.length],
      [
        5,
        STRUCT,
        [
          [1, I32, rows],
          [2, I32, PLAIN],
          [3, I32, RLE],
          [4, I32, RLE],
        ],
      ],
    ]);
    const from = at,
      size = header.length + page.length;
    parts.push(Uint8Array.from(header), page);
    at += size;
    return {
      size,
      fields: [
        [2, I64, from],
        [
          3,
          STRUCT,
          [
            [1, I32, TYPES[kind]],
            [2, LIST, [I32, [PLAIN, RLE]]],
            [3, LIST, [BINARY, [name]]],
            [4, I32, 0],
            [5, I64, rows],
            [6, I64, size],
            [7, I64, size],
            [9, I64, from],
          ],
        ],
      ],
    };
  });
  /** @type {Field[][]} */
  const schema = [
    [
      [4, BINARY, "rows"],
      [5, I32, columns.length],
    ],
    ...columns.map(
      ([name, kind]) =>
        /** @type {Field[]} */ ([
          [1, I32, TYPES[kind]],
          [3, I32, OPTIONAL],
          [4, BINARY, name],
          ...(kind === "text" ? [[6, I32, UTF8]] : []),
        ]),
    ),
  ];
  const group = [
    [1, LIST, [STRUCT, chunks.map((c) => c.fields)]],
    [2, I64, chunks.reduce((sum, c) => sum + c.size, 0)],
    [3, I64, rows],
  ];
  const footer = struct([
    [1, I32, 1],
    [2, LIST, [STRUCT, schema]],
    [3, I64, rows],
    [4, LIST, [STRUCT, [group]]],
    [6, BINARY, "permille"],
  ]);
  return joined([...parts, Uint8Array.from(footer), four(footer.length), Uint8Array.from(MAGIC)]);
}

/**
 * Which values are there: runs of 1 and 0, behind their length.
 * @param {any[]} values
 */
function levels(values) {
  const runs = [];
  for (let i = 0; i < values.length;) {
    let end = i;
    while (end < values.length && (values[end] === null) === (values[i] === null)) end++;
    // The lowest bit is 0 for a value that is repeated
    // (https://parquet.apache.org/docs/file-format/data-pages/encodings/, RLE = 3).
    runs.push(...varint((end - i) * 2), values[i] === null ? 0 : 1);
    i = end;
  }
  return joined([four(runs.length), Uint8Array.from(runs)]);
}

/**
 * @param {Kind} kind
 * @param {any[]} values
 */
function plain(kind, values) {
  if (kind === "text")
    return joined(
      values.flatMap((v) => {
        const text = bytes(v);
        return [four(text.length), text];
      }),
    );
  if (kind === "boolean") {
    const bits = new Uint8Array(Math.ceil(values.length / 8));
    values.forEach((v, i) => {
      // Parquet's plain booleans begin at the lowest bit.
      if (v) bits[i >> 3] |= 1 << (i & 7);
    });
    return bits;
  }
  const view = new DataView(new ArrayBuffer(8 * values.length));
  values.forEach((v, i) =>
    kind === "long" ? view.setBigInt64(8 * i, BigInt(v), true) : view.setFloat64(8 * i, v, true),
  );
  return new Uint8Array(view.buffer);
}

// --- Thrift's compact protocol ---------------------------------------------------------------

/**
 * @param {Field[]} fields
 * @returns {number[]}
 */
function struct(fields) {
  const out = [];
  let last = 0;
  for (const [id, type, value] of fields) {
    // Thrift's short form of a field's header, whose number is at most 15 above that of the last.
    out.push(((id - last) << 4) | type, ...encoded(type, value));
    last = id;
  }
  out.push(0);
  return out;
}

/**
 * @param {number} type
 * @param {any} value
 * @returns {number[]}
 */
function encoded(type, value) {
  if (type === STRUCT) return struct(value);
  if (type === BINARY) {
    const text = bytes(value);
    return [...varint(text.length), ...text];
  }
  if (type !== LIST) return varint(value * 2); // zigzag: none is negative here
  const [of, items] = value;
  const head =
    // Up to 14 elements, their number is in the upper half of the first byte.
    items.length < 15 ? [(items.length << 4) | of] : [0xf0 | of, ...varint(items.length)];
  return [...head, ...items.flatMap((/** @type {unknown} */ item) => encoded(of, item))];
}

/** @param {number} value */
function varint(value) {
  const out = [];
  // By division: JavaScript's shifts take 32 bits, and a file may be longer.
  for (; value >= 128; value = Math.floor(value / 128)) out.push((value % 128) | 128);
  return [...out, value];
}

/** @param {string} text */
const bytes = (text) => new TextEncoder().encode(text);

/** @param {number} value */
function four(value) {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value, true);
  return out;
}

/** @param {Uint8Array<ArrayBuffer>[]} parts */
function joined(parts) {
  const out = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
