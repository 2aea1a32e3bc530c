/**
 * Whether a pattern matches a whole text: `?` is one character and `*` any number of them, neither of them `/`; `**` is
 * anything. Everything else stands for itself. Takes time proportional to both lengths, whatever the pattern.
 */
export function matchesGlob(pattern: string, text: string): boolean {
  const wild = pattern.search(/[*?]/);
  if (wild === -1) return pattern === text;
  if (!text.startsWith(pattern.slice(0, wild))) return false;
  const rest = pattern.slice(wild);
  return rest === '**' || matchesTokens(rest.match(/\*\*+|[\s\S]/gu) ?? [], [...text.slice(wild)]);
}

function matchesTokens(tokens: readonly string[], characters: readonly string[]): boolean {
  // Whether the tokens so far match the first so many characters.
  let reached = new Array<boolean>(characters.length + 1).fill(false);
  reached[0] = true;
  for (const token of tokens) {
    const isStar = token.startsWith('*');
    const next = new Array<boolean>(characters.length + 1).fill(false);
    next[0] = isStar && reached[0] === true;
    for (const [i, character] of characters.entries()) {
      if (isStar) {
        const mayPass = token.length > 1 || character !== '/';
        next[i + 1] = reached[i + 1] === true || (next[i] === true && mayPass);
      } else {
        next[i + 1] = reached[i] === true && (token === '?' ? character !== '/' : token === character);
      }
    }
    reached = next;
  }
  return reached[characters.length] === true;
}
