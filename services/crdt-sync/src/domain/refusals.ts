import { MemplaneError } from '@memplane/contracts';

// Why a command is refused: the same words whoever finds it out.

/** An increment that would go beyond ± (2^53 − 1). */
export function incrementOverflow(): MemplaneError {
  return new MemplaneError('counter_overflow', 'A counter stays within ± (2^53 − 1).', {
    field: 'body.by',
  });
}

/** A value that several writers' increments took there. */
export function mergedOverflow(): MemplaneError {
  return new MemplaneError('counter_overflow', 'Merged increments left ± (2^53 − 1).');
}

export function idReused(): MemplaneError {
  return new MemplaneError('id_reused', 'This operation id was used with another `by`.', {
    field: 'body.opId',
  });
}

export function oldOpId(opid_memory_ms: number): MemplaneError {
  const words = `This operation id was made more than ${opid_memory_ms} ms ago: whether it was counted is not known any more. Read the counter instead.`;
  return new MemplaneError('bad_opid', words, { field: 'body.opId', extra: { opid_memory_ms } });
}

export function earlyOpId(opid_memory_ms: number): MemplaneError {
  const words = `This operation id is from more than ${opid_memory_ms} ms in the future.`;
  return new MemplaneError('bad_opid', words, { field: 'body.opId', extra: { opid_memory_ms } });
}

/** What limits the memory of operation ids that a counter has. */
export interface OpLimits {
  readonly op_ids_per_counter_max: number;
  readonly contested_ids_per_counter_max: number;
}

const OP_MEMORY_RETRY_MS = 1_000;

export function opMemoryFull(limit: keyof OpLimits, max: number): MemplaneError {
  const words =
    limit === 'op_ids_per_counter_max'
      ? `The counter remembers ${max} operation ids, none of which may be forgotten yet.`
      : `${max} operation ids of the counter were counted by several replicas; a reset forgets them.`;
  return new MemplaneError('opid_memory_full', words, {
    retryAfterMs: OP_MEMORY_RETRY_MS,
    extra: { limit, max },
  });
}

export function otherLog(currentLogId: string): MemplaneError {
  return new MemplaneError(
    'token_of_another_log',
    'The counter is derived from another log; only an operator may replace it.',
    { field: 'body.logId', extra: { currentLogId } },
  );
}

export function setTooLarge(limits: {
  readonly set_elements_max: number;
  readonly set_bytes_max: number;
}): MemplaneError {
  return new MemplaneError(
    'body_too_large',
    `A set holds at most ${limits.set_elements_max} elements and ${limits.set_bytes_max} bytes.`,
    { field: 'body.element' },
  );
}

export function mapTooLarge({ map_bytes_max }: { readonly map_bytes_max: number }): MemplaneError {
  return new MemplaneError('body_too_large', `A map has at most ${map_bytes_max} bytes.`, {
    field: 'path.name',
    extra: { limit: 'map_bytes_max', max: map_bytes_max },
  });
}

export function wrongType(holds: string, type: string): MemplaneError {
  return new MemplaneError('wrong_type', `The name holds a ${holds}, not a ${type}.`, {
    field: 'path.name',
    extra: { holds },
  });
}

/** The kind is fixed by the first increment. */
export function wrongKind(kind: string): MemplaneError {
  return new MemplaneError('wrong_type', `The counter is of kind ${kind}.`, {
    field: 'body.kind',
  });
}

export function onlyGrows(): MemplaneError {
  return new MemplaneError('invalid_request', 'A G-Counter only grows.', { field: 'body.by' });
}
