/**
 * Whether to colour what goes to a stream: the flag decides, else FORCE_COLOR (any value but 0 and false), else NO_COLOR
 * (https://no-color.org: any value but the empty one), else whether the stream is a terminal that can.
 */
export function wantsColor(
  flag: boolean | undefined,
  stream: { readonly isTTY?: boolean },
  env: NodeJS.ProcessEnv,
): boolean {
  if (flag !== undefined) return flag;
  const { FORCE_COLOR: force, NO_COLOR: no, TERM: term } = env;
  if (force !== undefined) return force !== '0' && force !== 'false';
  if (no !== undefined && no !== '') return false;
  return stream.isTTY === true && term !== 'dumb';
}
