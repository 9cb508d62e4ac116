import type { Incarnation } from '../dot.ts';
import type { CommitRange } from '../replica-delta.ts';
import { CommitLog } from './commit-log.ts';
import { Comparisons } from './comparisons.ts';
import { decodeMessage, encodeMessage, type VectorMessage } from './messages.ts';
import { Peer } from './peer.ts';
import { newStats, type ReplicationOptions, type ReplicationStats } from './ports.ts';
import { Receiver } from './receiver.ts';
import {
  coversVector,
  isSameVector,
  type ReadonlyVector,
  rangesTo,
  upToOf,
  type Vector,
  vectorDigest,
} from './vector.ts';

/** Who is sent much needs a while to take it. What is sent again meanwhile makes it worse. */
const TAKEN_BYTES_PER_MS = 512;

/**
 * Brings the commits of all replicas to each other, with nobody in charge, over a network that
 * loses, repeats and reorders. A state machine: time, the network and the store are passed in.
 *
 * Each replica tells the others how far it has every incarnation's commits, in a vector, and sends
 * each what its vector lacks. A vector is part of the durable state that it speaks of, so it says
 * the truth after any crash, and it is told again and again, so no belief about a peer outlives
 * what it was about. Within one life of a replica its vector only grows: a delta that builds on a
 * vector is good for the life that told it, and is refused by any other.
 */
export class Replication<S> {
  readonly stats: ReplicationStats = newStats();
  readonly #options: ReplicationOptions<S>;
  readonly #log: CommitLog<S>;
  readonly #comparisons: Comparisons;
  readonly #receiver: Receiver<S>;
  readonly #peers = new Map<string, Peer>();
  /** Of each entry of the vector, the number of its last change. */
  readonly #changes = new Map<Incarnation, number>();
  #lastChange = 0;
  #sequence = 0;
  /** What was encoded in this round: most peers lack the same. */
  readonly #encoded = new Map<string, Uint8Array>();

  constructor(options: ReplicationOptions<S>) {
    this.#options = options;
    const { settings, lattice, encode } = options;
    const { known } = options.ports;
    const bounds = {
      entries_max: settings.log_entries_max,
      bytes_max: settings.log_bytes_max,
      delta_bytes_max: settings.delta_bytes_max,
      merged_bytes_max: Math.min(settings.delta_bytes_max, settings.message_bytes_max),
    };
    const weigh = (delta: S) => encode(delta).length;
    this.#log = new CommitLog({ lattice, weigh, ...bounds }, known);
    this.#comparisons = new Comparisons({
      gain: (id) => this.#gainOf(id),
      compare: (id, done) => this.#compare(id, done),
    });
    this.#receiver = new Receiver(options, this.stats, {
      acknowledge: (id) => this.#tell(id, this.#peer(id)),
      refuse: (id) => this.#tell(id, this.#peer(id), true),
      joined: (from, ranges, delta, bytes) => {
        // A long row takes its time: as long as it comes nothing has to be fetched.
        this.#peer(from).goal = undefined;
        this.#log.appendReceived(ranges, delta, bytes, options.ports.now());
        this.#raised(ranges.map(({ incarnation }) => incarnation));
      },
    });
    this.#raised(known.keys());
  }

  get log(): { readonly entries: number; readonly bytes: number } {
    return this.#log;
  }

  /** A commit was made here; `known` has it. */
  committed(incarnation: Incarnation, number: number, delta: S): void {
    this.#log.appendOwn(incarnation, number, delta, this.#options.ports.now());
    this.#raised([incarnation]);
  }

  /** A whole state was taken over, and so `known` has these. */
  tookOver(ranges: readonly CommitRange[]): void {
    if (ranges.length === 0) return;
    this.#log.appendUnknown(ranges, this.#options.ports.now());
    this.#raised(ranges.map(({ incarnation }) => incarnation));
    this.#receiver.unpark();
  }

  /** A peer is reached again: what was on its way to it, or asked of it, may be lost. */
  reachable(id: string): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    peer.sent = undefined;
    peer.goal = undefined;
    this.#comparisons.abandon(id);
  }

  /** To be called in each round: tells and sends what there is. */
  tick(): void {
    const { ports } = this.#options;
    const peers = ports.peers();
    for (const id of this.#peers.keys()) if (!peers.includes(id)) this.#peers.delete(id);
    this.#log.trim(peers.map((id) => this.#peer(id).vector));
    for (const id of ports.live()) {
      const peer = this.#peer(id);
      this.#tellIfDue(id, peer);
      this.#sendDeltas(id, peer);
      this.#watch(id, peer);
    }
    this.#receiver.refuseLate();
    this.#abandonSilent();
    this.#comparisons.run();
    this.#encoded.clear();
  }

  receive(from: string, bytes: Uint8Array): void {
    if (!this.#options.ports.peers().includes(from)) return;
    let message: ReturnType<typeof decodeMessage>;
    try {
      message = decodeMessage(bytes);
    } catch {
      this.stats.malformed++;
      return;
    }
    const peer = this.#peer(from);
    if (message.kind === 'vector') this.#hear(from, peer, message);
    else if (message.kind === 'deltas') this.#receiver.receive(from, message);
    else if (message.reader === this.#options.life) {
      this.#comparisons.add(from);
      this.#comparisons.run();
    }
  }

  /** Sends what was committed now, without waiting for the next round. */
  sendNow(): void {
    for (const id of this.#options.ports.live()) this.#sendDeltas(id, this.#peer(id));
  }

  /** How many of these replicas are known to have commits durably; this one is not counted. */
  countWith(replicas: readonly string[], commits: ReadonlyVector): number {
    return replicas.filter((id) => coversVector(this.#peers.get(id)?.vector ?? new Map(), commits))
      .length;
  }

  /** What a peer has last told of itself; undefined where it has told nothing. */
  heardOf(
    id: string,
  ): { readonly life: number; readonly vector: ReadonlyVector; readonly atMs: number } | undefined {
    const peer = this.#peers.get(id);
    if (peer === undefined || peer.life === 0) return undefined;
    return { life: peer.life, vector: peer.vector, atMs: peer.heardAtMs };
  }

  #hear(from: string, peer: Peer, message: VectorMessage): void {
    if (!peer.hear(message)) return;
    this.#noteHeard(peer);
    this.#options.ports.heard?.(from);
    // Asked for once, and again with each vector that is told while it does not come.
    const isAsking = !peer.isWhole && !peer.hasAsked;
    peer.hasAsked = !peer.isWhole;
    if (peer.wantsWhole || isAsking) this.#tell(from, peer);
    const { ports, settings } = this.#options;
    if (message.refuses && ports.now() - peer.resentAtMs >= settings.parkedMs) {
      peer.resentAtMs = ports.now();
      this.#sendDeltas(from, peer);
    }
    if (peer.sent === undefined) return;
    if (coversVector(peer.vector, peer.sent)) {
      peer.sent = undefined;
      // The rest of a long row follows at once; what has come since waits for the next round.
      if (peer.wasCutShort) this.#sendDeltas(from, peer);
    } else if (ports.now() >= peer.sentUntilMs) this.#sendDeltas(from, peer);
  }

  /** While a peer was silent, nothing that it has could come. */
  #noteHeard(peer: Peer): void {
    if (this.#isSilent(peer)) peer.goal = undefined;
    peer.heardAtMs = this.#options.ports.now();
    peer.isHeardSince = true;
  }

  /** An answer may take its time, but not while others wait for one that is gone. */
  #abandonSilent(): void {
    const { ports, settings } = this.#options;
    const { peer } = this.#comparisons;
    if (peer === undefined) return;
    const silentMs = ports.now() - this.#peer(peer).heardAtMs;
    const isGone = silentMs > settings.compareDelayMs + settings.vectorIntervalMs;
    if (isGone || !ports.live().includes(peer)) this.#comparisons.abandon(peer);
  }

  #isSilent({ heardAtMs }: Peer): boolean {
    const { ports, settings } = this.#options;
    return ports.now() - heardAtMs > settings.vectorIntervalMs;
  }

  #sendDeltas(id: string, peer: Peer): void {
    const { ports, settings, encode } = this.#options;
    const nowMs = ports.now();
    const isOnItsWay = nowMs < peer.sentUntilMs || !peer.isHeardSince;
    if (peer.life === 0 || (peer.sent !== undefined && isOnItsWay)) return;
    const reading = this.#log.read(peer.vector, {
      senders: this.#senders(),
      passOnBeforeMs: nowMs - settings.passOnDelayMs,
      bytes_max: settings.message_bytes_max,
    });
    peer.sent = undefined;
    if (reading.ranges.length === 0) {
      if (reading.isBehind && peer.isWhole) {
        ports.send(id, encodeMessage({ kind: 'behind', reader: peer.life }));
      }
      return;
    }
    const { ranges, causes, key } = reading;
    const delta = this.#encoded.get(key) ?? encode(reading.delta);
    this.#encoded.set(key, delta);
    ports.send(id, encodeMessage({ kind: 'deltas', reader: peer.life, ranges, causes, delta }));
    peer.sent = upToOf(ranges);
    peer.wasCutShort = reading.hasMore;
    peer.sentUntilMs = nowMs + settings.resendMs + delta.length / TAKEN_BYTES_PER_MS;
    peer.isHeardSince = false;
    this.stats.deltasSent++;
    this.stats.deltaBytesSent += delta.length;
  }

  #senders(): Set<Incarnation> {
    const senders = new Set<Incarnation>();
    for (const id of this.#options.ports.live()) {
      const { own } = this.#peer(id);
      if (own !== undefined) senders.add(own);
    }
    return senders;
  }

  #tellIfDue(id: string, peer: Peer): void {
    const { ports, settings } = this.#options;
    const isNews = peer.toldChange < this.#lastChange || peer.wantsWhole || !peer.isWhole;
    const sinceMs = ports.now() - peer.toldAtMs;
    const isDue =
      sinceMs >= settings.vectorIntervalMs ||
      (sinceMs >= settings.apartIntervalMs && !isSameVector(peer.vector, ports.known));
    if (isNews || isDue) this.#tell(id, peer);
  }

  #tell(id: string, peer: Peer, refuses = false): void {
    const { ports, life } = this.#options;
    const isWhole = refuses || peer.wantsWhole || peer.toldChange === 0;
    const entries: Vector = new Map();
    for (const [incarnation, commits] of ports.known) {
      const isNews = (this.#changes.get(incarnation) ?? 0) > peer.toldChange;
      if ((isWhole || isNews) && commits > 0) entries.set(incarnation, commits);
    }
    const message = encodeMessage({
      kind: 'vector',
      life,
      sequence: ++this.#sequence,
      own: ports.own(),
      digest: vectorDigest(ports.known),
      isWhole,
      wantsWhole: !peer.isWhole,
      refuses,
      entries,
    });
    ports.send(id, message);
    peer.toldChange = this.#lastChange;
    peer.toldAtMs = ports.now();
    peer.wantsWhole = false;
    this.stats.vectorsSent++;
    this.stats.vectorBytesSent += message.length;
  }

  /** What a peer has and does not come has to be fetched. */
  #watch(id: string, peer: Peer): void {
    const { ports, settings } = this.#options;
    const nowMs = ports.now();
    if (peer.goal === undefined || coversVector(ports.known, peer.goal.vector)) {
      const vector = upToOf(rangesTo(peer.vector, ports.known));
      peer.goal = vector.size === 0 ? undefined : { vector, sinceMs: nowMs };
    } else if (nowMs - peer.goal.sinceMs >= settings.compareDelayMs && !this.#isSilent(peer)) {
      this.#comparisons.add(id);
    }
  }

  #raised(incarnations: Iterable<Incarnation>): void {
    for (const incarnation of incarnations) this.#changes.set(incarnation, ++this.#lastChange);
  }

  #compare(id: string, done: () => void): void {
    this.stats.comparisons++;
    const gain = this.#gainOf(id);
    const { ports } = this.#options;
    ports.compare(id, () => {
      this.#peer(id).goal = undefined;
      // Who was too far behind for one log is likely so for others: they are not waited for.
      if (this.#gainOf(id) < gain) for (const peer of ports.live()) this.#comparisons.add(peer);
      done();
    });
  }

  #gainOf(id: string): number {
    const { ports } = this.#options;
    if (!ports.live().includes(id)) return 0;
    const lacking = rangesTo(this.#peer(id).vector, ports.known);
    return lacking.reduce((sum, { after, upTo }) => sum + upTo - after, 0);
  }

  #peer(id: string): Peer {
    let peer = this.#peers.get(id);
    if (peer === undefined) {
      peer = new Peer();
      this.#peers.set(id, peer);
    }
    return peer;
  }
}
