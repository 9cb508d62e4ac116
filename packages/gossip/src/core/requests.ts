import { MemplaneError } from '@memplane/contracts';
import { commonVersion } from '../member.ts';
import type { Message } from '../wire/message.ts';
import { type Core, drop, guarded } from './core.ts';
import type { Inbox, Received } from './inbox.ts';
import type { Peer, Post } from './post.ts';

/** Requests over streams, in a version that both sides speak. */
export class Requests {
  readonly #core: Core;
  readonly #post: Post;
  readonly #inbox: Inbox;
  #stopped = false;

  constructor(core: Core, parts: { post: Post; inbox: Inbox }) {
    this.#core = core;
    this.#post = parts.post;
    this.#inbox = parts.inbox;
  }

  /** Whoever still waits for an answer is told that there will be none. */
  stop(): void {
    this.#stopped = true;
  }

  /**
   * Sends a request in the common version. One who only joins does not know it yet: the answer to
   * a wrong one names the range that is spoken there, and it tries once more.
   */
  send(
    peer: Peer,
    messages: (version: number) => Message[],
    done: (received: Received | undefined, error: MemplaneError | undefined) => void,
    timeoutMs = this.#core.settings.streamTimeoutMs,
    version = this.#core.table.commonVersion(),
    triesLeft = 1,
  ): void {
    const bytes = this.sealed(peer, messages(version), version);
    this.#core.transport.exchange(peer.address, bytes, timeoutMs, (outcome) => {
      if (!outcome.ok) this.#core.metrics.streamsFailed += 1;
      if (this.#stopped || !outcome.ok) {
        done(undefined, outcome.ok ? stopped() : outcome.error);
        return;
      }
      const received = this.#inbox.stream(outcome.reply);
      if (received?.messages.some((message) => message.type === 'forgotten')) {
        const by = received.header.sender;
        guarded(this.#core, () => this.#core.hooks.onForgotten?.(by));
        done(undefined, forgottenBy(by));
        return;
      }
      const refused = received?.messages.find((message) => message.type === 'refused');
      if (refused?.type !== 'refused') {
        done(received, undefined);
        return;
      }
      const common = commonVersion(this.#core.table.self.protocol, refused.protocol);
      if (triesLeft > 0 && common !== undefined) {
        this.send(peer, messages, done, timeoutMs, common, triesLeft - 1);
        return;
      }
      drop(this.#core, 'incompatible');
      done(undefined, noCommonVersion(peer));
    });
  }

  /** The bytes of a request or an answer, which are counted as sent. */
  sealed(peer: Peer, messages: readonly Message[], version: number): Uint8Array {
    const bytes = this.#post.stream(peer, messages, version);
    this.#core.metrics.streamsSent += 1;
    this.#core.metrics.streamBytesSent += bytes.length;
    return bytes;
  }
}

export function noAnswer(peer: Peer): MemplaneError {
  return new MemplaneError('dependency_unavailable', `${peer.address} gave no valid answer`);
}

function noCommonVersion(peer: Peer): MemplaneError {
  return new MemplaneError('invalid_request', `${peer.address} speaks no version in common`);
}

function forgottenBy(id: string): MemplaneError {
  return new MemplaneError('forbidden', `${id} has forgotten this member`);
}

function stopped(): MemplaneError {
  return new MemplaneError('shutting_down', 'This member has stopped');
}
