// What the browser keeps of a person's choices. It may refuse: then nothing is kept.

/**
 * @param {string} key
 * @returns {string | null}
 */
export function kept(key) {
  return unlessRefused(() => localStorage.getItem(key)) ?? null;
}

/**
 * @param {string} key
 * @param {string} value
 */
export function keep(key, value) {
  unlessRefused(() => localStorage.setItem(key, value));
}

/**
 * @template Result
 * @param {() => Result} act
 */
function unlessRefused(act) {
  try {
    return act();
  } catch (error) {
    if (error instanceof DOMException) return undefined;
    throw error;
  }
}
