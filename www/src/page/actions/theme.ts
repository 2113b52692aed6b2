/** Light, dark, or as the system has it; remembered in this browser. */
import { state, type Theme } from "../state/state";

const KEY = "mka-theme";

/** `keep`: the user chose it, and not an address. */
export function setTheme(theme: Theme, keep = true): void {
  state.theme = theme;
  document.documentElement.dataset["theme"] = theme;
  if (!keep) return;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
  }
}

export function restoreTheme(): void {
  let kept: string | null = null;
  try {
    kept = localStorage.getItem(KEY);
  } catch {
    // As above.
  }
  setTheme(kept === "light" || kept === "dark" ? kept : "system", false);
}
