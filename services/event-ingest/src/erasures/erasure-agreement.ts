import { MemplaneError } from '@memplane/contracts';
import { pause } from '@memplane/runtime';
import type { IngestConfig } from '../config.ts';
import type { ZoneKeeper } from '../strong/zone-keeper.ts';
import type { ErasureGate } from './erasure-gate.ts';

export interface AgreementOptions {
  readonly gate: ErasureGate;
  readonly keeper: ZoneKeeper;
  readonly config: Pick<IngestConfig, 'zonesPollMs' | 'zoneRegistrationMs'>;
}

/** Looks in so many parts of the time between two looks of an instance. */
const LOOKS = 10;

/**
 * Waits until every registered instance has confirmed that nothing of an entity is under way. One that
 * is silent is waited for until its registration has ended for certain.
 * @returns what throws MemplaneError `erasing` when that takes longer than two registrations
 */
export function agreeOn({ gate, keeper, config }: AgreementOptions) {
  const { zonesPollMs, zoneRegistrationMs } = config;
  return async (erasure: string, signal: AbortSignal): Promise<void> => {
    const deadline = performance.now() + 2 * zoneRegistrationMs;
    await gate.drained();
    for (;;) {
      const missing = await keeper.unconfirmedErasure(erasure);
      if (missing.length === 0) return;
      if (signal.aborted || performance.now() > deadline) {
        throw new MemplaneError('erasing', `${missing.length} instances have not confirmed it.`, {
          retryAfterMs: zoneRegistrationMs,
          extra: { instances: missing },
        });
      }
      await pause(zonesPollMs / LOOKS, signal);
    }
  };
}
