import { listInstances } from '../client/instances.ts';
import { CodedError } from '../errors.ts';
import { wantsColor } from './color.ts';
import { formatColumns } from './columns.ts';
import { connect, type GlobalFlags, projectOf } from './context.ts';
import { watchInterruption } from './interruption.ts';
import { createOutput, printable } from './output.ts';

type Row = { readonly name?: string; readonly project: string | null };

/** `instances`: those that the caller may have files delivered to, or their projects. */
export async function runInstances(
  options: { readonly projects?: boolean },
  flags: GlobalFlags,
): Promise<number> {
  const output = createOutput(flags);
  const wanted = projectOf(flags);
  const connection = await connect(flags);
  const { signal, stop } = watchInterruption();
  try {
    const known = await listInstances(connection, wanted, signal).catch((error: unknown) => {
      if (!(error instanceof CodedError) || error.code !== 'not_found') throw error;
      throw new CodedError(
        'not_found',
        'The daemon cannot tell its instances; it is older than this client, update it',
      );
    });
    const projects = [...new Set(known.map(({ project }) => project ?? wanted ?? 'default'))].sort();
    const rows: Row[] =
      options.projects === true
        ? projects.map((project) => ({ project }))
        : known.map(({ name, project }) => ({ name, project: project ?? null }));
    if (flags.json) for (const row of rows) output.out(JSON.stringify(row));
    else if (options.projects === true) for (const name of projects) output.out(printable(name));
    else if (flags.quiet) for (const { name } of known) output.out(printable(name));
    else if (known.length === 0) output.err('no instances');
    else {
      const { createPaint } = await import('./printer.ts');
      const paint = createPaint(wantsColor(flags.color, process.stdout, process.env));
      const columns = [{ heading: 'INSTANCE' }, { heading: 'PROJECT' }];
      const cells = known.map(({ name, project }) => [printable(name), printable(project ?? '')]);
      for (const line of formatColumns(columns, cells, undefined, (text, row) =>
        row === 0 ? paint.strong(text) : text,
      ))
        output.out(line);
    }
    return 0;
  } finally {
    stop();
    connection.close();
  }
}
