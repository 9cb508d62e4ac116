import { newMetrics } from '../metrics.ts';
import { type GossipOptions, selfOf } from '../options.ts';
import { ReplayWindows } from '../security/replay-windows.ts';
import { Sealer } from '../security/sealer.ts';
import type { GossipSettings } from '../settings.ts';
import { Awareness } from './awareness.ts';
import { BroadcastQueue } from './broadcast-queue.ts';
import { Claims } from './claims.ts';
import { type Core, drop } from './core.ts';
import { Exchanges } from './exchanges.ts';
import { Inbox } from './inbox.ts';
import { MemberTable } from './member-table.ts';
import { OwnRecord } from './own-record.ts';
import { Post } from './post.ts';
import { Prober } from './prober.ts';
import { Receiver } from './receiver.ts';
import { Spreader } from './spreader.ts';

/** What a member is made of. */
export interface Parts {
  readonly core: Core;
  readonly own: OwnRecord;
  readonly post: Post;
  readonly prober: Prober;
  readonly receiver: Receiver;
  readonly spreader: Spreader;
  readonly exchanges: Exchanges;
  readonly windows: ReplayWindows;
}

/**
 * Puts a member together; nothing of it runs yet.
 * @param forgotten ids that are refused; the caller may add to it later
 * @throws MemplaneError `invalid_request`, with the option as its field.
 */
export function assemble(
  options: GossipOptions,
  settings: GossipSettings,
  forgotten: ReadonlySet<string>,
): Parts {
  const { random, timers, transport, hooks = {}, isForgotten = () => false } = options;
  const metrics = newMetrics();
  const core: Core = {
    settings,
    timers,
    random,
    transport,
    hooks,
    metrics,
    table: new MemberTable(selfOf(options), random),
    queue: new BroadcastQueue(settings.queueBroadcastsMax, () => drop({ metrics }, 'queue_full')),
    awareness: new Awareness(settings.awarenessMax),
    hasten: () => spreader.hasten(),
    isForgotten: (id) => forgotten.has(id) || isForgotten(id),
  };
  const sealer = new Sealer(options.cluster, options.keyRing, random);
  const windows = new ReplayWindows(settings.replayWindowPackets, settings.replaySendersMax);
  const post = new Post(core, sealer, options.startEpoch);
  const spreader = new Spreader(core, post);
  const inbox = new Inbox(core, sealer, windows);
  const own = new OwnRecord(core);
  const claims = new Claims(core, own);
  const exchanges = new Exchanges(core, { claims, post, inbox });
  const prober = new Prober(core, claims, post, (peer, timeoutMs, done) =>
    exchanges.ping(peer, timeoutMs, done),
  );
  const receiver = new Receiver(core, { claims, post, inbox, prober });
  return { core, own, post, prober, receiver, spreader, exchanges, windows };
}
