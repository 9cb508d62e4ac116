import type { MemplaneError } from '@memplane/contracts';
import type { MemberState } from '../member.ts';
import type { Message } from '../wire/message.ts';
import { mergeState, stateHere } from './application-state.ts';
import type { Claims } from './claims.ts';
import { type Core, deliver, drop, Ticker } from './core.ts';
import { exchangeIntervalMs, wholeListsChance } from './exchange-pace.ts';
import type { Inbox, Received, Refusal } from './inbox.ts';
import { listDigest } from './list-digest.ts';
import type { Peer, Post } from './post.ts';
import { noAnswer, Requests } from './requests.ts';

/** A member in a list without its texts and its meta: lengths, status, incarnation, versions. */
const STATE_FIELDS_BYTES = 20;
/** Who speaks an earlier version is sent the list in place of its digest. */
const DIGESTS_SINCE_VERSION = 2;

type Done = (error: MemplaneError | undefined) => void;

/** All that goes over streams: push-pull, joins, pings where datagrams fail, large payloads. */
export class Exchanges {
  readonly #core: Core;
  readonly #claims: Claims;
  readonly #requests: Requests;
  readonly #inbox: Inbox;
  readonly #tickers: readonly Ticker[];
  #stopped = false;

  constructor(core: Core, parts: { claims: Claims; post: Post; inbox: Inbox }) {
    this.#core = core;
    this.#claims = parts.claims;
    this.#requests = new Requests(core, parts);
    this.#inbox = parts.inbox;
    const { settings, timers } = core;
    this.#tickers = [
      new Ticker(
        timers,
        () => exchangeIntervalMs(settings, core.table.liveCount),
        () => this.#exchangeWithOneAlive(),
      ),
      // Gossip to the dead ends after a while; a cut that lasted longer is healed from here.
      new Ticker(
        timers,
        () => settings.reconnectIntervalMs,
        () => this.#tryOneDead(),
      ),
    ];
  }

  start(): void {
    for (const ticker of this.#tickers) ticker.start(this.#core.random);
  }

  stop(): void {
    this.#stopped = true;
    this.#requests.stop();
    for (const ticker of this.#tickers) ticker.stop();
  }

  /** Exchanges the lists of members and the state of the application with one member. */
  pushPull(peer: Peer, join: boolean, done: Done): void {
    const request = () => this.#pushed(join);
    this.#requests.send(peer, request, (received, error) => {
      const answer = received?.messages.find((message) => message.type === 'state');
      if (received === undefined || answer?.type !== 'state') {
        done(error ?? noAnswer(peer));
        return;
      }
      this.#merge(answer, received.header.sender);
      done(undefined);
    });
  }

  /** Exchanges the digests of the lists and the application's state, and lists that differ. */
  compare(peer: Peer, done: Done): void {
    const request = (version: number) =>
      version < DIGESTS_SINCE_VERSION ? this.#pushed(false) : this.#compared();
    this.#requests.send(peer, request, (received, error) => {
      const answer = received?.messages[0];
      const from = received?.header.sender ?? '';
      if (answer?.type === 'state') {
        this.#merge(answer, from);
        done(undefined);
      } else if (answer?.type === 'digest') {
        mergeState(this.#core, answer.user, false, from);
        const same = Buffer.compare(answer.digest, listDigest(this.#core.table)) === 0;
        if (same) done(undefined);
        else this.pushPull(peer, false, done);
      } else {
        done(error ?? noAnswer(peer));
      }
    });
  }

  ping(peer: Peer, timeoutMs: number, done: (alive: boolean) => void): void {
    const messages = (): Message[] => [{ type: 'ping', probe: 0 }];
    const answered = (received: Received | undefined) =>
      done(received?.messages.some((message) => message.type === 'ack') ?? false);
    this.#requests.send(peer, messages, answered, timeoutMs);
  }

  /** Sends a payload and reports when the other has it. */
  send(peer: Peer, payload: Uint8Array, done: Done): void {
    this.#requests.send(
      peer,
      () => [{ type: 'user', payload }],
      (received, error) => {
        const taken = received?.messages.some((message) => message.type === 'ack');
        done(taken ? undefined : (error ?? noAnswer(peer)));
      },
    );
  }

  /** The answer to a request that came in. */
  answer(bytes: Uint8Array): Uint8Array | undefined {
    if (this.#stopped) return undefined;
    let refusal: Refusal | undefined;
    const received = this.#inbox.stream(bytes, (reason) => {
      refusal = reason;
      return true;
    });
    if (received === undefined) return undefined;
    const { sender, version } = received.header;
    const peer = { id: sender, address: '' };
    const answers: Message[] = [];
    if (refusal === 'forgotten') answers.push({ type: 'forgotten' });
    if (refusal === 'version') {
      answers.push({ type: 'refused', protocol: this.#core.table.self.protocol });
    }
    // One alone: a request of a million small ones would be answered with as many whole lists.
    const [message, ...others] = received.messages;
    if (others.length > 0) drop(this.#core, 'excess');
    if (message?.type === 'ping') answers.push({ type: 'ack', probe: message.probe });
    if (message?.type === 'user') {
      deliver(this.#core, message.payload, sender);
      answers.push({ type: 'ack', probe: 0 });
    }
    if (message?.type === 'state') {
      this.#merge(message, sender);
      // After the merge: what it changed, above all the asker's own record, goes back at once.
      answers.push(...this.#state(message.join));
    }
    if (message?.type === 'digest') {
      mergeState(this.#core, message.user, false, sender);
      answers.push(this.#digest());
    }
    return answers.length === 0 ? undefined : this.#requests.sealed(peer, answers, version);
  }

  #pushed(join: boolean): Message[] {
    this.#core.metrics.pushPulls += 1;
    return this.#state(join);
  }

  #compared(): Message[] {
    this.#core.metrics.comparisons += 1;
    return [this.#digest()];
  }

  #state(join: boolean): Message[] {
    const members: MemberState[] = [...this.#core.table.values()];
    const listBytes = members.reduce((sum, member) => sum + stateBytes(member), 0);
    return [{ type: 'state', join, members, user: stateHere(this.#core, join, listBytes) }];
  }

  #digest(): Message {
    const digest = listDigest(this.#core.table);
    return { type: 'digest', digest, user: stateHere(this.#core, false, digest.length) };
  }

  #merge(state: Extract<Message, { type: 'state' }>, from: string): void {
    this.#claims.merge(state.members);
    mergeState(this.#core, state.user, state.join, from);
  }

  #exchangeWithOneAlive(): void {
    const { random, settings, table } = this.#core;
    const [peer] = table.pick(1, (record) => record.status === 'alive');
    if (peer === undefined) return;
    const chance = wholeListsChance(settings, table.liveCount);
    if (chance >= 1 || random.next() < chance) this.pushPull(peer, false, () => {});
    else this.compare(peer, () => {});
  }

  /** The lists differ in at least the dead one itself. */
  #tryOneDead(): void {
    const [peer] = this.#core.table.pick(1, (record) => record.status === 'dead');
    if (peer !== undefined) this.pushPull(peer, false, () => {});
  }
}

/** At most what a member costs in a list. */
function stateBytes({ id, address, accuser, meta }: MemberState): number {
  const texts = Buffer.byteLength(id) + Buffer.byteLength(address) + Buffer.byteLength(accuser);
  return texts + meta.length + STATE_FIELDS_BYTES;
}
