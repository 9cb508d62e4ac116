import { isEntity, LIMITS } from '@memplane/contracts';

/** What a `causationId` names: an event of a given entity, or an id to be looked for. */
export interface CauseName {
  readonly id: string;
  /** Absent: its own entity first, then all. */
  readonly entity?: string;
}

/** Reads `ID` or `kind/id#ID`. Nothing for what no event can be called. */
export function parseCause(causationId: string): CauseName | undefined {
  const hash = causationId.indexOf('#');
  const entity = hash < 0 ? '' : causationId.slice(0, hash);
  const cause = isEntity(entity)
    ? { id: causationId.slice(hash + 1), entity }
    : { id: causationId };
  const bytes = Buffer.byteLength(cause.id);
  return bytes === 0 || bytes > LIMITS.event_id_bytes_max ? undefined : cause;
}
