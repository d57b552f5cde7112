// Types that the page's modules share, beside those of what it is sent (document.d.ts).

import type { PlotOptions } from "@observablehq/plot";
import type { Cell, PageSource, Metered, PagePlace } from "./document";

export type Boundary = Metered | "facility";
export type Unit = "kwh" | "co2e";

/** A figure with its 95 % interval; null where there is none. */
export interface Estimate {
  value: number;
  low: number | null;
  high: number | null;
  /** How many sessions the interval is over, and where one more would lie; null: unknown. */
  sessions?: number | null;
  machines?: number | null;
  rerunLow?: number | null;
  rerunHigh?: number | null;
}

/**
 * `shared`: what the meters add to its logarithm below and above, the same error in every cell;
 * `edge`: the edges of both sides. `paired`: what an interval over sessions is made of. `names`:
 * the sessions of that or, of a ratio that is not paired, of its sides; none if each has its own one.
 */
export interface Ratio extends Estimate {
  shared?: [number, number];
  edge?: number;
  paired?: Paired;
  names?: string[];
}

/** Session to its mean log ratio and its machine; by how much the interval over them is wider. */
export interface Paired {
  means: Map<string, { mean: number; machine: string }>;
  widened: number;
}

/** Joules per 1,000 inferences, with what a ratio and the budget take. */
export interface Joules extends Estimate {
  n: number | null;
  spread: number | null;
  /** (session, block, logarithm of the joules, machine) of each trial; null where ratios do not pair. */
  blocks: [string, number, number, string][] | null;
  /** The sessions of the trials where `blocks` is null; null: unknown. */
  measuredIn: string[] | null;
  /** Of runs, or of the sessions (machines) that they are of where these are several. */
  ratioN: number;
  ratioMean: number;
  ratioSd: number | null;
  below: number;
  above: number;
  edge: number;
  /** By how much intervals over sessions are wider because the sessions were chosen by them. */
  widened: number;
}

/** The grid that is chosen; `asked` and `askedYear` hold what is not in the table. */
export interface GridChoice {
  intensity: number;
  name: string;
  year: string | null;
  place: PagePlace | null;
  source: PageSource | null;
  years: string[];
  asked?: string | null;
  askedYear?: string | null;
}

/** What the numbers rest on. */
export interface Setting {
  boundary: Boundary;
  net: boolean;
  unit: Unit;
  pue: number;
  intensity: number;
  grid: GridChoice;
}

/** A cell with its figure, as a chart draws it; a chart adds where it drew it. */
export interface Point extends Estimate {
  cell: Cell;
  row: number;
  y: number;
}

/** What can stand within an element; null, undefined and false are skipped. */
export type Child = Node | string | number | null | undefined | false | Child[];
export type FieldEvent = Event & { target: HTMLInputElement };
export type Attributes = {
  [name: string]: string | number | boolean | null | undefined | ((event: FieldEvent) => void);
};

/** A table's column: heading, cell of a row, and whether it holds numbers. */
export type Column<Row> = [heading: Child, cell: (row: Row) => Child, how?: { number: boolean }];

/** A line of a chart's legend. */
export type LegendEntry = [text: Child, colour: string, symbol?: string];

/** Gives Plot's options for a width, or the drawing itself; `data` is what its points index. */
export type Draw<Datum> = { (width: number): PlotOptions | SVGSVGElement; data?: Datum[] };
