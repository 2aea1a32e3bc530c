/**
 * Batch ids. A batch is what became of one upload for several destinations; its number is the sequence of its first job,
 * and its id that job's with a mark in front, so that batch ids sort by time too and nobody takes one for a job's.
 */
import { decodeJobId, encodeJobId } from './job-id.ts';

declare const brand: unique symbol;
export type BatchId = string & { readonly [brand]: 'BatchId' };

const MARK = 'b-';

export function encodeBatchId(batch: number): BatchId {
  return `${MARK}${encodeJobId(batch)}` as BatchId;
}

/** The number of a batch's id, or undefined when the text is no such id. */
export function decodeBatchId(text: string): number | undefined {
  return text.startsWith(MARK) ? decodeJobId(text.slice(MARK.length)) : undefined;
}
