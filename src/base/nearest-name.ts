const MOST_NAMES = 3;

/** The name of the list that is nearest to a mistyped one, or undefined when none is near enough to be meant. */
export function nearestName(mistyped: string, names: Iterable<string>): string | undefined {
  return byDistance(mistyped, names)[0];
}

/** Up to three names that may be meant: the nearest first, then those that begin with what was typed or contain it. */
export function nearestNames(mistyped: string, names: Iterable<string>): string[] {
  const all = [...names];
  const longer = all.filter((name) => mistyped.length > 1 && name.includes(mistyped));
  const starting = longer.filter((name) => name.startsWith(mistyped));
  return [...new Set([...byDistance(mistyped, all), ...starting, ...longer])].slice(0, MOST_NAMES);
}

/** The names near enough to be meant, the nearest first and otherwise in their order. */
function byDistance(mistyped: string, names: Iterable<string>): string[] {
  const limit = Math.max(2, Math.floor(mistyped.length / 3));
  return Array.from(names, (name) => ({ name, distance: editDistance(mistyped, name) }))
    .filter(({ name, distance }) => distance <= limit && distance < Math.min(name.length, mistyped.length))
    .sort((a, b) => a.distance - b.distance)
    .map(({ name }) => name);
}

/** Levenshtein's distance: the insertions, deletions and replacements that make one text of the other. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
