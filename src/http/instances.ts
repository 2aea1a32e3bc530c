/** GET /v1/instances: what there is to deliver to, for completion and for people who look for a name. */
import type { ServerResponse } from 'node:http';
import { projectNameProblem } from '../protocol/names.ts';
import type { AppContext } from './app-context.ts';
import type { Caller } from './caller.ts';
import { nameIn } from './jobs.ts';
import { sendJson } from './respond.ts';

/** Of one project, or of all; none that the caller may not deliver to. */
export async function getInstances(
  { instances }: AppContext,
  caller: Caller,
  url: URL,
  res: ServerResponse,
): Promise<void> {
  const project = nameIn(url.searchParams, 'project', projectNameProblem);
  const known = await instances.list(project);
  const allowed = known.filter((one) => caller.coversInstance(one.project, one.instance));
  sendJson(res, 200, { instances: allowed.map((one) => ({ name: one.instance, project: one.project })) });
}
