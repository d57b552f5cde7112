// Where the ticks of a logarithmic axis stand.

/**
 * Ticks of a logarithmic axis: 1, 2 and 5 of each decade where there is room for them, else powers
 * of ten, thinned; even steps where the axis holds less than that.
 * @param {number} low
 * @param {number} high
 * @param {number} most
 */
export function decades(low, high, most) {
  // Decades are counted from one end to the other: without an end, that would never stop.
  if (!(low > 0 && high < Infinity)) return [];
  const from = Math.floor(Math.log10(low)),
    to = Math.ceil(Math.log10(high));
  /**
   * @param {number[]} steps
   * @param {number} every
   */
  const inside = (steps, every) => {
    /** @type {number[]} */
    const ticks = [];
    for (let e = from; e <= to; e += every) ticks.push(...steps.map((s) => s * 10 ** e));
    // 10 ** e is rounded: a tick at the very end may lie just outside.
    return ticks.filter((t) => t >= low * 0.999 && t <= high * 1.001);
  };
  const whole = inside([1], 1),
    fine = inside([1, 2, 5], 1);
  if (fine.length < 3) return even(low, high, Math.min(6, Math.max(3, most)));
  if (fine.length <= most) return fine;
  if (whole.length >= 2 && whole.length <= most) return whole;
  // Within one decade there are no powers of ten to fall back on.
  if (whole.length < 2) return fine.filter((_, i) => i % Math.ceil(fine.length / most) === 0);
  const thinned = inside([1], Math.ceil(whole.length / most));
  return thinned.length < 2 ? [whole[0], whole[whole.length - 1]] : thinned;
}

/**
 * At most so many multiples of 1, 2 or 5 times a power of ten.
 * @param {number} low
 * @param {number} high
 * @param {number} most
 */
function even(low, high, most) {
  const power = 10 ** Math.floor(Math.log10((high - low) / most));
  const step = [1, 2, 5, 10].map((s) => s * power).find((s) => (high - low) / s <= most);
  /** @type {number[]} */
  const ticks = [];
  if (!step) return ticks;
  for (let k = Math.ceil(low / step); k * step <= high; k++) ticks.push(k * step);
  return ticks;
}
