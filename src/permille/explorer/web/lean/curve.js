// Plot's curves, of which the page draws straight lines and steps.

import { curveLinear, curveStepAfter } from "d3-shape";

/** @typedef {(context: CanvasRenderingContext2D) => unknown} Curve */

/** @param {string | Curve} [curve] */
export function maybeCurve(curve = curveLinear) {
  if (typeof curve === "function") return curve;
  if (curve === "step-after") return curveStepAfter;
  throw new Error(`the page's charts have no curve ${curve}: see build.js`);
}
/** @param {string | Curve} [curve] */
export const maybeCurveAuto = (curve = curveAuto) => maybeCurve(curve);
/** @type {Curve} */
export const curveAuto = (context) => curveLinear(context);
