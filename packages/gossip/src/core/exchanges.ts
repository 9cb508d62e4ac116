import type { MemplaneError } from '@memplane/contracts';
import type { MemberState } from '../member.ts';
import type { Message } from '../wire/message.ts';
import type { Claims } from './claims.ts';
import { type Core, deliver, drop, guarded, Ticker } from './core.ts';
import type { Inbox, Received, Refusal } from './inbox.ts';
import type { Peer, Post } from './post.ts';
import { noAnswer, Requests } from './requests.ts';

/** Room in a stream for its header, its list's frame and its seal. */
const STREAM_FRAME_BYTES = 1_024;
/** A member in a list without its texts and its meta: lengths, status, incarnation, versions. */
const STATE_FIELDS_BYTES = 20;
/** Up to here a full exchange costs each member the same; beyond, it becomes rarer. */
const PUSH_PULL_STEADY_MEMBERS = 32;

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
        () => pushPullIntervalMs(settings.pushPullIntervalMs, core.table.liveCount),
        () => this.#pushPullWithOne('alive'),
      ),
      // Gossip to the dead ends after a while; a cut that lasted longer is healed from here.
      new Ticker(
        timers,
        () => settings.reconnectIntervalMs,
        () => this.#pushPullWithOne('dead'),
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
    this.#core.metrics.pushPulls += 1;
    const state = () => this.#state(join);
    this.#requests.send(peer, state, (received, error) => {
      const answer = received?.messages.find((message) => message.type === 'state');
      if (received === undefined || answer?.type !== 'state') {
        done(error ?? noAnswer(peer));
        return;
      }
      this.#merge(answer, received.header.sender);
      done(undefined);
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
    return answers.length === 0 ? undefined : this.#requests.sealed(peer, answers, version);
  }

  #state(join: boolean): Message[] {
    const { hooks, settings, table } = this.#core;
    const members: MemberState[] = [...table.values()];
    const user = guarded(this.#core, () => hooks.localState?.(join)) ?? new Uint8Array();
    const whole: Message = { type: 'state', join, members, user };
    const listBytes = members.reduce((sum, member) => sum + stateBytes(member), 0);
    if (user.length + listBytes + STREAM_FRAME_BYTES <= settings.streamBytesMax) return [whole];
    drop(this.#core, 'payload_too_large');
    return [{ ...whole, user: new Uint8Array() }];
  }

  #merge(state: Extract<Message, { type: 'state' }>, from: string): void {
    this.#claims.merge(state.members);
    if (state.user.length === 0) return;
    guarded(this.#core, () => this.#core.hooks.mergeState?.(state.user, state.join, from));
  }

  #pushPullWithOne(status: 'alive' | 'dead'): void {
    const [peer] = this.#core.table.pick(1, (record) => record.status === status);
    if (peer !== undefined) this.pushPull(peer, false, () => {});
  }
}

function pushPullIntervalMs(baseMs: number, liveMembers: number): number {
  const doublings = Math.log2(liveMembers / PUSH_PULL_STEADY_MEMBERS);
  return baseMs * Math.max(1, Math.ceil(doublings) + 1);
}

/** At most what a member costs in a list. */
function stateBytes({ id, address, accuser, meta }: MemberState): number {
  const texts = Buffer.byteLength(id) + Buffer.byteLength(address) + Buffer.byteLength(accuser);
  return texts + meta.length + STATE_FIELDS_BYTES;
}
