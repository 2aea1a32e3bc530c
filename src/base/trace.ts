/**
 * Named points in the life of an upload, published on Node's `diagnostics_channel` for tracers and for tests that end
 * the process there. A channel without subscribers costs one property read.
 */
import { channel } from 'node:diagnostics_channel';

const POINTS = [
  'payload-written',
  'payload-synced',
  'before-commit',
  'logged',
  'before-checkpoint',
  'after-checkpoint',
  'after-commit',
  'answered',
  'delivering',
  'before-rename',
  'after-rename',
  'recorded',
] as const;

export type TracePoint = (typeof POINTS)[number];

const channels = Object.fromEntries(POINTS.map((point) => [point, channel(`incus-upload:${point}`)]));

/** Tells subscribers of `incus-upload:POINT` that the point was reached, with what it is about. */
export function trace(point: TracePoint, about: unknown): void {
  const target = channels[point];
  if (target?.hasSubscribers === true) target.publish(about);
}
