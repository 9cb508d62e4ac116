import type { Incarnation } from '../dot.ts';
import type { VectorMessage } from './messages.ts';
import { type Vector, vectorDigest } from './vector.ts';

/** What is known of another replica, and what it was sent. */
export class Peer {
  /** Of its present life; 0: nothing was heard of it. */
  life = 0;
  /** What it has told that it has; within a life it has at least this. */
  vector: Vector = new Map();
  /** The incarnation that it commits under. */
  own: Incarnation | undefined;
  /** What it says of its whole vector is what is known here. */
  isWhole = false;
  /** It was asked for its whole vector, which has not come yet. */
  hasAsked = false;
  /** It wants all of this replica's vector. */
  wantsWhole = true;
  /** Up to which change of this replica's vector it was told. */
  toldChange = 0;
  toldAtMs = Number.NEGATIVE_INFINITY;
  /** What it will have once it has got what is on its way, and until when that is believed. */
  sent: Vector | undefined;
  sentUntilMs = 0;
  /** There was more to send than one message may have. */
  wasCutShort = false;
  /** Whether it was heard since that was sent: to one that is cut off nothing is sent again. */
  isHeardSince = false;
  heardAtMs = Number.NEGATIVE_INFINITY;
  /** When it was last sent something at once because it had refused. */
  resentAtMs = Number.NEGATIVE_INFINITY;
  /** What it had and this replica lacked, and since when. */
  goal: { readonly vector: Vector; readonly sinceMs: number } | undefined;
  #sequence = 0;

  /** Takes over what it tells of itself. @returns whether that was news */
  hear(message: VectorMessage): boolean {
    const { life, sequence, own, digest, isWhole, wantsWhole, refuses, entries } = message;
    if (life < this.life || (life === this.life && sequence <= this.#sequence)) return false;
    if (life > this.life) {
      this.vector = new Map();
      this.sent = undefined;
      this.toldChange = 0;
      this.life = life;
    }
    this.#sequence = sequence;
    this.own = own;
    if (isWhole) this.vector = new Map(entries);
    else for (const [incarnation, commits] of entries) this.vector.set(incarnation, commits);
    this.isWhole = isWhole || vectorDigest(this.vector) === digest;
    this.wantsWhole = wantsWhole;
    if (refuses) this.sent = undefined;
    return true;
  }
}
