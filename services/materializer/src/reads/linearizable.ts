import { finishHead, type HeadAnswer, MemplaneError } from '@memplane/contracts';
import type { Invoker } from '@memplane/runtime';
import { type EntityRequest, readEntity } from './entity.ts';
import type { Plane, Waiting } from './plane.ts';

/** How far strong entities are, as event-ingest tells. */
export interface Heads {
  /** Finishes what the entity has under way. @throws MemplaneError what event-ingest answers */
  finish(tenant: string, entity: string, wait: Waiting): Promise<HeadAnswer>;
}

/** Beyond what the read may wait. */
const TIMEOUT_MS = 3_000;

export function invokedHeads(invoker: Invoker): Heads {
  return {
    async finish(tenant, entity, { deadline, signal, trace }) {
      const timeoutMs = Math.ceil(Math.max(0, deadline - performance.now())) + TIMEOUT_MS;
      const path = finishHead.path.replace('{kind}/{id}', entity);
      const how = { tenant, timeoutMs, signal, ...(trace === undefined ? {} : { trace }) };
      return (await invoker.invoke('event-ingest', 'POST', path, how)) as HeadAnswer;
    },
  };
}

/**
 * Reads a strong entity as it is now: with every append that was answered before the read began. Its
 * head says how far that is; the read waits until the view is there.
 * @throws MemplaneError `zone_not_strong`, `no_quorum`, `not_yet_visible`, and what reads throw
 */
export async function readLinearizable(
  plane: Plane,
  heads: Heads,
  request: EntityRequest & { readonly wait: Waiting },
): Promise<string> {
  const { tenant, entity, wait } = request;
  const { sequence, token } = await heads.finish(tenant, entity, wait).catch((error: unknown) => {
    throw aboutConsistency(error);
  });
  if (sequence !== undefined) {
    const view = await readEntity(plane, request).catch((error: unknown) => {
      if (error instanceof MemplaneError && error.code === 'not_found' && sequence > 0) return '';
      throw error;
    });
    if (sequenceOf(view) >= sequence) return view;
  }
  const after = [token, ...(request.after === undefined ? [] : [request.after].flat())];
  const view = await readEntity(plane, { ...request, after });
  if (sequenceOf(view) >= (sequence ?? 0)) return view;
  throw new MemplaneError('not_yet_visible', `The view of ${entity} is behind its head.`, {
    retryAfterMs: 200,
    extra: { sequence },
  });
}

const SEQUENCE = ',"sequence":';

/** The last one is the answer's own: after it come only numbers, stamps and tokens. */
function sequenceOf(view: string): number {
  const at = view.lastIndexOf(SEQUENCE);
  return at < 0 ? -1 : Number.parseInt(view.slice(at + SEQUENCE.length), 10);
}

function aboutConsistency(error: unknown): unknown {
  if (!(error instanceof MemplaneError) || error.code !== 'zone_not_strong') return error;
  const { code, message, extra, cause } = error;
  return new MemplaneError(code, message, { field: 'query.consistency', extra, cause });
}
