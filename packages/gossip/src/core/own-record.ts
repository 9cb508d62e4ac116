import { type Accusation, type AliveClaim, INCARNATION_MAX, sameContent } from '../member.ts';
import type { Core } from './core.ts';
import type { MemberRecord } from './member-table.ts';
import { announce, passOn } from './news.ts';

/** What this member says about itself, and how it answers what others say about it. */
export class OwnRecord {
  readonly #core: Core;
  #leaving = false;

  constructor(core: Core) {
    this.#core = core;
  }

  get leaving(): boolean {
    return this.#leaving;
  }

  /** Makes it known; the news wait until there is somebody to hear them. */
  announce(): void {
    announce(this.#core, this.#self);
  }

  /** What others believe may stem from this member's life before a restart. */
  alive(claim: AliveClaim): void {
    const self = this.#self;
    if (this.#leaving || claim.incarnation < self.incarnation) return;
    if (claim.incarnation === self.incarnation && sameContent(self, claim)) return;
    this.#raiseAbove(claim.incarnation);
  }

  /** Refutes (SWIM, §4.2). */
  accused(claim: Accusation): void {
    if (this.#leaving) return;
    if (claim.incarnation < this.#self.incarnation) {
      // Who says so missed the refutation, and it may not be on its way any more.
      announce(this.#core, this.#self);
      return;
    }
    // Who is suspected may be slow itself.
    this.#core.awareness.apply(1);
    this.#core.metrics.refutations += 1;
    this.#raiseAbove(claim.incarnation);
    this.#core.hasten();
  }

  renew(meta: Uint8Array): void {
    this.#self.meta = meta;
    this.#raiseAbove(this.#self.incarnation);
  }

  /** Takes leave; `done` once others were told often enough. */
  leave(done: () => void): void {
    const self = this.#self;
    this.#leaving = true;
    for (const record of this.#core.table.values()) record.suspicion?.cancel();
    self.status = 'left';
    self.accuser = self.id;
    const { id, incarnation } = self;
    passOn(this.#core, { status: 'left', id, incarnation, accuser: id }, done);
  }

  get #self(): MemberRecord {
    return this.#core.table.self;
  }

  #raiseAbove(incarnation: number): void {
    this.#self.incarnation = Math.min(INCARNATION_MAX, incarnation + 1);
    announce(this.#core, this.#self);
  }
}
