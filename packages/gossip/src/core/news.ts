import type { Accusation, AliveClaim } from '../member.ts';
import { encodeMessage } from '../wire/message.ts';
import type { Core } from './core.ts';

/** Queues that a member lives; older news about it are of no use any more. */
export function announce(core: Core, claim: AliveClaim): void {
  core.queue.put(claim.id, encodeMessage({ type: 'alive', claim }));
}

/** Queues an accusation. `done` is called once it was sent often enough, or is outdated. */
export function passOn(core: Core, claim: Accusation, done?: () => void): void {
  core.queue.put(claim.id, encodeMessage({ type: 'accused', claim }), done);
  core.hasten();
}
