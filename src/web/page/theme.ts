/** Light, dark, or whatever the system says. */
export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const KEY = 'evolayer-theme';

export function storedTheme(): Theme {
  const stored = localStorage.getItem(KEY);
  return THEMES.find((theme) => theme === stored) ?? 'system';
}

export function applyTheme(theme: Theme): void {
  localStorage.setItem(KEY, theme);
  document.documentElement.dataset.theme = theme;
  window.dispatchEvent(new Event('themechange'));
}

/** Calls back when colours change; returns what ends that. */
export function onThemeChange(work: () => void): () => void {
  const system = window.matchMedia('(prefers-color-scheme: dark)');
  window.addEventListener('themechange', work);
  system.addEventListener('change', work);
  return () => {
    window.removeEventListener('themechange', work);
    system.removeEventListener('change', work);
  };
}

/** A colour of the style sheet, as it is now. */
export const colourOf = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
