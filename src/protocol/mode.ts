/** Permission bits of an octal text with or without leading zeros (`644`, `0644`, `4755`), or undefined. */
export function parseMode(text: string): number | undefined {
  return /^0*[0-7]{1,4}$/.test(text) ? Number.parseInt(text, 8) : undefined;
}

/** Four octal digits: `0644`. */
export function formatMode(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
