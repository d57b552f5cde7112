// What the map takes of its packages, which come without types.

declare module "topojson-client" {
  export type Position = [longitude: number, latitude: number];
  export interface Geometry {
    type: string;
    id?: string;
    /** Indices of arcs: of a MultiPolygon, by polygon and ring. */
    arcs: any;
    /** The middle of its largest part, of a shape that `world.js` made. */
    properties: { name: string; centre?: Position };
  }
  export interface Topology {
    type: string;
    objects: { countries: { type: string; geometries: Geometry[] } };
  }
  export interface Feature {
    type: "Feature";
    geometry: object;
  }
  export function feature(topology: Topology, geometry: Geometry): Feature;
  export function mesh(topology: Topology, all: Topology["objects"]["countries"]): Feature;
}

declare module "d3-geo" {
  import type { Position } from "topojson-client";
  export interface Projection {
    (place: Position): [x: number, y: number] | null;
    fitWidth(width: number, shape: object): Projection;
  }
  export interface Path {
    (shape: object): string | null;
    bounds(shape: object): [[number, number], [number, number]];
  }
  export function geoEqualEarth(): Projection;
  export function geoPath(projection: Projection): Path;
}

/** What `world.js` makes of it when the page is built. */
declare module "world-atlas/countries-110m.json" {
  import type { Position, Topology } from "topojson-client";
  const world: { shapes: Topology; points: { [code: string]: Position } };
  export default world;
}
