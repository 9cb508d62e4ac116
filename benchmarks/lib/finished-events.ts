import { firstHlcOf, formatHlc } from '@memplane/clock';
import { type NewRecord, partitionOf } from '@memplane/event-log';
import { unpackBody } from '../../services/event-ingest/src/domain/packed-body.ts';
import { HLC_AT } from '../../services/event-ingest/src/domain/prepare.ts';
import { prepareBody } from '../../services/event-ingest/src/domain/prepare-body.ts';
import { EventBatch } from './event-bodies.ts';

const TENANT = 'default';
/** What a request without one is given: it is part of every event. */
const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

/** What event-ingest makes of one request of the load, ready for the log: the very same bytes. */
export function finishedEvents(
  batch: { readonly events: number; readonly entities: number; readonly seed: number },
  partitions: number,
): NewRecord[] {
  const { events, entities, seed } = batch;
  const body = new EventBatch(events, entities, seed);
  body.renumber(seed * events);
  const order = {
    tenant: TENANT,
    dimensions: 768,
    defaultSource: 'anonymous',
    now: new Date().toISOString(),
    traceparent: TRACEPARENT,
  };
  const packed = prepareBody(body.bytes, order, () => crypto.randomUUID());
  const firstHlc = firstHlcOf(Date.now());
  return unpackBody(packed, TENANT).events.map(({ key, value, idKey, digest }, n) => {
    const hlc = firstHlc + BigInt(n);
    value.write(formatHlc(hlc), HLC_AT, 'latin1');
    return {
      partition: partitionOf(key, partitions),
      key,
      value,
      hlc,
      idDigest: Buffer.from(idKey, 'latin1'),
      contentDigest: Buffer.from(digest, 'base64url').subarray(0, 16),
    };
  });
}
