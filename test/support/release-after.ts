import type { TestContext } from 'node:test';
import { ReleaseStack } from '../../src/base/release-stack.ts';

const stacks = new WeakMap<TestContext, ReleaseStack>();

/**
 * Lets go of something when the test is over, what was taken last first, whether or not others fail: `after` alone goes
 * by who came first, and stops at the first failure.
 */
export function releaseAfter(t: TestContext, release: () => unknown): void {
  let stack = stacks.get(t);
  if (stack === undefined) {
    const made = new ReleaseStack();
    stack = made;
    stacks.set(t, made);
    t.after(() => made.release());
  }
  stack.defer(release);
}
