import type { Connection } from './connection.ts';

export type KnownInstance = { readonly name: string; readonly project: string | undefined };

/** The instances that the caller may have files delivered to, of one project or of all. */
export async function listInstances(
  connection: Connection,
  project: string | undefined,
  signal?: AbortSignal,
): Promise<KnownInstance[]> {
  const query = project === undefined ? '' : `?project=${encodeURIComponent(project)}`;
  const answer = await connection.request({ method: 'GET', path: `/v1/instances${query}`, signal });
  return decode(await answer.body.json());
}

function decode(json: unknown): KnownInstance[] {
  const list = Array.isArray(json) ? json : ((json as { instances?: unknown } | null)?.instances ?? []);
  if (!Array.isArray(list)) return [];
  return list.flatMap((entry: unknown) => {
    if (typeof entry === 'string') return [{ name: entry, project: undefined }];
    const { name, instance, project } = (entry ?? {}) as Record<string, unknown>;
    const known = name ?? instance;
    if (typeof known !== 'string') return [];
    return [{ name: known, project: typeof project === 'string' ? project : undefined }];
  });
}
