/**
 * A directory as a target: each of its subdirectories is an instance. For trying the program without Incus, and for
 * chroots and the like. There is one project, `default`. See `deliver-to-directory.ts` for what is promised.
 */
import { constants } from 'node:fs';
import { type FileHandle, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError, messageOf, systemCode } from '../../errors.ts';
import { instanceNameProblem } from '../../protocol/names.ts';
import { Deadline } from '../deadline.ts';
import { DeliveryError, refusal, transient } from '../failure.ts';
import type { Delivery, Outcome, Reachability, Target, TreeDelivery } from '../target.ts';
import { classifySystem, deliverToDirectory } from './deliver-to-directory.ts';
import { HandleKeeper } from './handle-keeper.ts';
import { removeStaged } from './remove-staged.ts';
import { byteNames, findEntry } from './rooted-path.ts';
import { unpackToDirectory } from './unpack-to-directory.ts';

const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const PROJECT = 'default';

export class DirectoryTarget implements Target {
  readonly description: string;
  readonly #path: string;

  /** `path`: absolute. It may be missing for now; then the target is not reachable. */
  constructor(path: string) {
    this.#path = path;
    this.description = `dir:${path}`;
  }

  deliver(delivery: Delivery): Promise<Outcome> {
    const { project, instance } = delivery;
    return deliverToDirectory((keeper) => this.#openInstance(keeper, project, instance), delivery);
  }

  unpack(delivery: TreeDelivery): Promise<Outcome> {
    const { project, instance } = delivery;
    return unpackToDirectory((keeper) => this.#openInstance(keeper, project, instance), delivery);
  }

  async removeTemporary(project: string, instance: string, path: string): Promise<boolean> {
    const keeper = new HandleKeeper();
    try {
      const handle = await this.#openInstance(keeper, project, instance);
      // Not following a link there: somebody in the instance may have put one in the file's place.
      const { directory, name } = await findEntry({ handle, keeper, make: undefined }, byteNames(path));
      await removeStaged(directory, name, keeper);
      return true;
    } catch (error) {
      const gone = ['parent_missing', 'instance_not_found', 'project_not_found'];
      return gone.includes(classifySystem(error).code);
    } finally {
      keeper.end();
    }
  }

  async probe(timeoutMs: number): Promise<Reachability> {
    const deadline = new Deadline(timeoutMs);
    try {
      const stats = await deadline.run('look up', () => stat(this.#path));
      if (stats.isDirectory()) return { reachable: true };
      return { reachable: false, reason: `${this.#path} is not a directory` };
    } catch (error) {
      return { reachable: false, reason: `Cannot use the directory ${this.#path}: ${messageOf(error)}` };
    } finally {
      deadline.end();
    }
  }

  async instances(project: string | undefined) {
    if (project !== undefined && project !== PROJECT) return [];
    const entries = await readdir(this.#path, { withFileTypes: true }).catch((cause: unknown) => {
      const message = `Cannot read the directory ${this.#path}: ${messageOf(cause)}`;
      throw new CodedError('target_unreachable', message, { cause });
    });
    return entries
      .filter((entry) => entry.isDirectory() && instanceNameProblem(entry.name) === undefined)
      .map((entry) => ({ project: PROJECT, instance: entry.name }));
  }

  configuredInstances(): Promise<never> {
    const message = `The instances of ${this.description} are directories and have no configuration to choose by; name them, or use a pattern`;
    return Promise.reject(new CodedError('bad_request', message));
  }

  /** Directories tell nothing. */
  watch(): () => void {
    return () => {};
  }

  async close(): Promise<void> {}

  async #openInstance(keeper: HandleKeeper, project: string, instance: string): Promise<FileHandle> {
    if (project !== PROJECT)
      throw refusal('project_not_found', `There is no project ${project} in a directory`);
    const problem = instanceNameProblem(instance);
    if (problem !== undefined) throw refusal('instance_not_found', problem);
    try {
      return await keeper.open(join(this.#path, instance), OPEN_DIRECTORY);
    } catch (error) {
      const reachability = await this.probe(10_000);
      if (!reachability.reachable) {
        throw new DeliveryError(transient('target_unreachable', 'target'), reachability.reason, error);
      }
      const code = systemCode(error);
      if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'ELOOP') throw error;
      throw refusal('instance_not_found', `There is no directory ${join(this.#path, instance)}`);
    }
  }
}
