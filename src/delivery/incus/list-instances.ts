/** What Incus tells of its instances: their names, and with them their configuration. Changes nothing anywhere. */
import type { ConfiguredInstance, InstanceName } from '../target.ts';
import { getFromIncus } from './connection.ts';
import type { IncusEndpoint } from './endpoint.ts';

const TIMEOUT_MS = 15_000;

/** Of one project, or of all that Incus lets us see. */
export async function listInstances(
  endpoint: IncusEndpoint,
  project: string | undefined,
): Promise<InstanceName[]> {
  const urls = await askList(endpoint, queryOf(project));
  return urls.filter((url) => typeof url === 'string').map(parseInstanceUrl);
}

/** With the configuration as it takes effect, that is with what the profiles say. */
export async function listConfiguredInstances(
  endpoint: IncusEndpoint,
  project: string | undefined,
): Promise<ConfiguredInstance[]> {
  const found = await askList(endpoint, `recursion=1&${queryOf(project)}`);
  return found.flatMap((entry) => {
    const { name, project: of = 'default', config, expanded_config } = entry as Record<string, unknown>;
    if (typeof name !== 'string' || typeof of !== 'string') return [];
    return [{ project: of, instance: name, config: decodeConfig(expanded_config ?? config) }];
  });
}

function queryOf(project: string | undefined): string {
  return project === undefined ? 'all-projects=true' : `project=${encodeURIComponent(project)}`;
}

async function askList(endpoint: IncusEndpoint, query: string): Promise<unknown[]> {
  const list = await getFromIncus(endpoint, `/1.0/instances?${query}`, TIMEOUT_MS);
  if (!Array.isArray(list)) throw new Error('Cannot read the list of instances: Incus sent no list');
  return list;
}

function decodeConfig(json: unknown): ReadonlyMap<string, string> {
  const entries = Object.entries((json ?? {}) as Record<string, unknown>);
  return new Map(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

/** `/1.0/instances/NAME?project=PROJECT`; no project means `default`. */
function parseInstanceUrl(url: string): InstanceName {
  const { pathname, searchParams } = new URL(url, 'http://incus');
  return {
    project: searchParams.get('project') ?? 'default',
    instance: decodeURIComponent(pathname.slice(pathname.lastIndexOf('/') + 1)),
  };
}
