// What stands in for the parts of Observable Plot that no chart here uses: maps, time, colour
// schemes, legends, tips. `build.js` puts it in their place. What would be drawn wrongly without
// them throws instead.

/** @param {string} what */
const none = (what) => () => {
  throw new Error(`the page's charts have no ${what}: see build.js`);
};

// projection.js
export const createProjection = () => undefined;
export const hasProjection = () => false;
export const projectionAspectRatio = () => undefined;
export const project = none("projections");
export const getGeometryChannels = none("geometries");
export const xyProjection = none("projections");

// time.js
export const intervalDuration = Symbol("intervalDuration");
export const intervalType = Symbol("intervalType");
export const timeInterval = none("time");
export const utcInterval = none("time");
export const generalizeTimeInterval = none("time");
export const inferTimeFormat = none("time");

// scales/schemes.js, temporal.js, diverging.js
export const isCategoricalScheme = () => false;
export const isDivergingScheme = () => false;
export const maybeBooleanRange = () => undefined;
export const ordinalScheme = none("colour schemes");
export const ordinalRange = none("colour schemes");
export const quantitativeScheme = none("colour schemes");
export const createScaleTime = none("scales of time");
export const createScaleUtc = none("scales of time");
export const createScaleDiverging = none("diverging scales");
export const createScaleDivergingSqrt = none("diverging scales");
export const createScaleDivergingPow = none("diverging scales");
export const createScaleDivergingLog = none("diverging scales");
export const createScaleDivergingSymlog = none("diverging scales");

// legends.js, marks/tip.js, interactions/pointer.js: chart.js has its own
export const createLegends = () => [];
export const exposeLegends = () => undefined;
export const tip = none("tips of Plot");
export const pointer = none("pointers of Plot");
export const pointerX = pointer;
export const pointerY = pointer;

/**
 * transforms/bin.js: of a mark without an interval, its options.
 * @template Options
 * @param {Options} options
 */
export const maybeDenseIntervalX = (options) => options;
export const maybeDenseIntervalY = maybeDenseIntervalX;

// isoformat: dates in text are text here
export const format = none("time");
export const parse = (/** @type {string} */ text) => text;

// marker.js
export const markers = () => {};
export const applyMarkers = () => {};
export const applyGroupedMarkers = () => {};
