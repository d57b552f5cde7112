// What stands in for the maps, dates and colour spaces of d3, which Plot brings along: `build.js`
// puts it in their place. Here all positions are numbers, and colours are those of style.css, which
// are never interpolated.

/** @param {string} what */
const none = (what) => () => {
  throw new Error(`the page's charts have no ${what}: see build.js`);
};

export const geoPath = none("maps");
export const utcFormat = none("time");
export const timeFormat = none("time");

/** What d3-interpolate asks of a text, and of an object by `instanceof`: it is no colour. */
export function color() {
  return null;
}
export const rgb = none("colour spaces");
export const hsl = rgb;
export const lab = rgb;
export const hcl = rgb;
export const cubehelix = rgb;
