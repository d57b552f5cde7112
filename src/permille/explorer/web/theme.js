// Light, dark, or as the system has it: the choice is kept in the browser.

import { h } from "./dom.js";

const THEMES = /** @type {const} */ (["system", "light", "dark"]);
const KEPT = "permille-theme";

/** The choice that is kept; the system's where a browser keeps nothing. */
function kept() {
  try {
    return THEMES.find((t) => t === localStorage.getItem(KEPT)) ?? "system";
  } catch (error) {
    if (error instanceof DOMException) return "system";
    throw error;
  }
}

/** @param {typeof THEMES[number]} theme */
function use(theme) {
  const { dataset } = document.documentElement;
  if (theme === "system") delete dataset.theme;
  else dataset.theme = theme;
  try {
    localStorage.setItem(KEPT, theme);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}

/**
 * A button that goes from one theme to the next.
 * @param {() => void} changed
 */
export function themeSwitch(changed) {
  let theme = kept();
  use(theme);
  const button = h(
    "button",
    {
      type: "button",
      id: "theme",
      onclick: () => {
        theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
        use(theme);
        button.textContent = `Theme: ${theme}`;
        changed();
      },
    },
    `Theme: ${theme}`,
  );
  return button;
}
