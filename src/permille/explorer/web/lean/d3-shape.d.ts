// What the page takes of d3-shape, which comes without types.

declare module "d3-shape" {
  type Curve = (context: CanvasRenderingContext2D) => unknown;
  export const curveLinear: Curve;
  export const curveStepAfter: Curve;
}
