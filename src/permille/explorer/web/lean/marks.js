// The parts of Observable Plot that the charts use, in place of its index, which brings them all.

export { plot } from "../node_modules/@observablehq/plot/src/plot.js";
export { areaY } from "../node_modules/@observablehq/plot/src/marks/area.js";
export { axisX, axisY, gridX, gridY } from "../node_modules/@observablehq/plot/src/marks/axis.js";
export { barX } from "../node_modules/@observablehq/plot/src/marks/bar.js";
export { dot } from "../node_modules/@observablehq/plot/src/marks/dot.js";
export { line } from "../node_modules/@observablehq/plot/src/marks/line.js";
export { link } from "../node_modules/@observablehq/plot/src/marks/link.js";
export { ruleX, ruleY } from "../node_modules/@observablehq/plot/src/marks/rule.js";
export { text } from "../node_modules/@observablehq/plot/src/marks/text.js";
export { tickX } from "../node_modules/@observablehq/plot/src/marks/tick.js";
