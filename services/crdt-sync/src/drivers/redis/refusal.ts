import { MemplaneError } from '@memplane/contracts';
import type { ApplyLimits } from '../../domain/apply.ts';
import type { Command } from '../../domain/command.ts';
import * as refusals from '../../domain/refusals.ts';
import { damaged } from './redis-records.ts';

/** The error that a function's `{code, detail}` stands for. */
export function refusal(
  code: string,
  detail: string,
  command: Command,
  limits: ApplyLimits,
): MemplaneError {
  switch (code) {
    case 'counter_overflow':
      return detail === 'by' ? refusals.incrementOverflow() : refusals.mergedOverflow();
    case 'id_reused':
      return refusals.idReused();
    case 'opid_memory_full': {
      const limit = detail as keyof refusals.OpLimits;
      return refusals.opMemoryFull(limit, limits[limit]);
    }
    case 'token_of_another_log':
      return refusals.otherLog(detail);
    case 'body_too_large':
      return detail === 'map' ? refusals.mapTooLarge(limits) : refusals.setTooLarge(limits);
    case 'wrong_type':
      return refusals.wrongType(detail, typeOf(command));
    case 'wrong_kind':
      return refusals.wrongKind(detail);
    case 'only_grows':
      return refusals.onlyGrows();
    case 'storage_damaged':
      return damaged(detail);
    default:
      return new MemplaneError('internal', `Redis answered ${code}.`);
  }
}

function typeOf({ type }: Command): string {
  if (type.startsWith('set')) return 'set';
  if (type.startsWith('map')) return 'map';
  return type.startsWith('register') ? 'register' : 'counter';
}
