import { formatSize } from '../base/size.ts';
import { addressOf } from '../client/connection.ts';
import { getInfo } from '../client/info.ts';
import { connect, type GlobalFlags } from './context.ts';
import { watchInterruption } from './interruption.ts';
import { createOutput, printable } from './output.ts';

/** `info` */
export async function runInfo(flags: GlobalFlags): Promise<number> {
  const output = createOutput(flags);
  const connection = await connect(flags);
  const { signal, stop } = watchInterruption();
  try {
    const info = await getInfo(connection, signal);
    if (flags.json) {
      output.out(JSON.stringify(info));
      return 0;
    }
    output.out(`daemon: ${addressOf(connection)}`);
    for (const line of describe(info, '')) output.out(line);
    return 0;
  } finally {
    stop();
    connection.close();
  }
}

/** Names and values as the daemon gives them, nested ones indented; sizes also for people. */
function* describe(value: Readonly<Record<string, unknown>>, indent: string): Generator<string> {
  for (const [name, member] of Object.entries(value)) {
    if (typeof member === 'object' && member !== null && !Array.isArray(member)) {
      yield `${indent}${printable(name)}:`;
      yield* describe(member as Record<string, unknown>, `${indent}  `);
    } else {
      yield `${indent}${printable(name)}: ${describeScalar(name, member)}`;
    }
  }
}

function describeScalar(name: string, value: unknown): string {
  if (value === null) return 'none';
  if (typeof value === 'number' && /(?:^|_)(?:bytes|size|space)(?:_|$)/.test(name)) {
    return `${value} (${formatSize(value)})`;
  }
  return printable(Array.isArray(value) ? value.map(String).join(', ') : String(value));
}
