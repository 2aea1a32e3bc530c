import type { Setting } from './load-config.ts';

/** Every option with its value and where it was given, in columns. */
export function formatSettings(settings: readonly Setting[]): string {
  const rows = settings.map(({ name, value, origin }) => [name, textOf(value), origin] as const);
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map(
      ([name, value, origin]) =>
        `${name.padEnd(widths[0] ?? 0)}  ${value.padEnd(widths[1] ?? 0)}  ${origin}\n`,
    )
    .join('');
}

/** The same as one JSON object: `{"concurrency":{"value":"8","origin":"default"},…}`, with the keys of the config file. */
export function encodeSettings(settings: readonly Setting[]): string {
  const object = Object.fromEntries(
    settings.map(({ name, value, origin }) => [name.replaceAll('-', '_'), { value, origin }]),
  );
  return `${JSON.stringify(object)}\n`;
}

function textOf(value: string | readonly string[]): string {
  return typeof value === 'string' ? value : value.join(',');
}
