export type Key = 'up' | 'down' | 'page-up' | 'page-down' | 'home' | 'end' | 'escape' | 'interrupt' | string;

const ESCAPE = '\u001b';
const NAMES: Readonly<Record<string, Key>> = {
  '[A': 'up',
  OA: 'up',
  '[B': 'down',
  OB: 'down',
  '[5~': 'page-up',
  '[6~': 'page-down',
  '[H': 'home',
  OH: 'home',
  '[1~': 'home',
  '[F': 'end',
  OF: 'end',
  '[4~': 'end',
};

/** What was typed, key by key: a letter stands for itself, the others have names. */
export function parseKeys(text: string): Key[] {
  const keys: Key[] = [];
  let rest = text;
  while (rest !== '') {
    // Control sequences of ECMA-48, and those of keypads, which have one letter.
    const sequence = new RegExp(`^${ESCAPE}(\\[[0-9;?]*[ -/]*[@-~]|O[@-~])`).exec(rest);
    const [character = ''] = rest;
    if (sequence !== null) keys.push(NAMES[sequence[1] ?? ''] ?? 'unknown');
    else if (character === '\u0003') keys.push('interrupt');
    else keys.push(character === ESCAPE ? 'escape' : character);
    rest = rest.slice(sequence?.[0].length ?? character.length);
  }
  return keys;
}

/** Single keys, where standard input is a terminal. They come unechoed, and Ctrl-C comes as a key too. */
export function watchKeys(onKey: (key: Key) => void): { stop(): void } {
  const { stdin } = process;
  if (!stdin.isTTY) return { stop: () => undefined };
  const press = (typed: Buffer): void => {
    for (const key of parseKeys(typed.toString())) onKey(key);
  };
  const goOn = (): void => void stdin.setRawMode(true);
  goOn();
  stdin.on('data', press);
  process.on('SIGCONT', goOn);
  return {
    stop: () => {
      stdin.off('data', press);
      process.off('SIGCONT', goOn);
      stdin.setRawMode(false);
      stdin.pause();
    },
  };
}
