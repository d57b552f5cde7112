// What stands in for the maps, dates, number formats and interpolators of d3, which Plot brings
// along: `build.js` puts it in their place. Here all positions are numbers, axes word their ticks,
// and colours are those of style.css, which are never interpolated.

/** @param {string} what */
const none = (what) => () => {
  throw new Error(`the page's charts have no ${what}: see build.js`);
};

export const geoPath = none("maps");
export const utcFormat = none("time");
export const timeFormat = none("time");
export const rgb = none("colour spaces");

/**
 * d3-interpolate: between two numbers.
 * @param {number} a
 * @param {number} b
 */
export const interpolateNumber = (a, b) => (/** @type {number} */ t) => a * (1 - t) + b * t;
export const interpolate = interpolateNumber;
/**
 * @param {number} a
 * @param {number} b
 */
export const interpolateRound = (a, b) => (/** @type {number} */ t) =>
  Math.round(a * (1 - t) + b * t);
export const interpolateRgb = none("scales of colours");
export const interpolateHsl = interpolateRgb;
export const interpolateHcl = interpolateRgb;
export const interpolateLab = interpolateRgb;
export const piecewise = interpolateRgb;
export const quantize = interpolateRgb;

// Asked for by other parts of d3, which are not in the page.
export const color = rgb;
export const cubehelix = rgb;
export const interpolateCubehelixLong = interpolateRgb;
export const interpolateRgbBasis = interpolateRgb;
export const interpolateString = interpolateRgb;
export const interpolateTransformCss = interpolateRgb;
export const interpolateTransformSvg = interpolateRgb;
export const interpolateZoom = interpolateRgb;

/** d3-format: an axis that words no ticks has plain numbers. */
export const format = () => (/** @type {number} */ value) => value.toLocaleString("en-US");
export const formatSpecifier = () => ({ type: "plain" });
export const formatPrefix = none("prefixes");
export const precisionFixed = formatPrefix;
export const precisionPrefix = formatPrefix;
export const precisionRound = formatPrefix;
