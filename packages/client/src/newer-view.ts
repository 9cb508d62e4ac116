/** What a message of `memory-views` says of its place in the log; it says more. */
export interface ViewPosition {
  readonly logId: string;
  readonly epoch: number;
  readonly partition: number;
  readonly offset: number;
}

/**
 * Whether a view of an entity is newer than the one that a subscriber has. Messages come at least
 * once, and an old one may come late: what is not newer is to be ignored. The owner that sent it
 * does not matter, for a view is a function of the log up to its position.
 * @param known the newest one so far; undefined: none
 * @throws RangeError for views of different logs, which no order puts one before the other: a
 * subscriber that meets another log begins anew
 */
export function isNewerView(candidate: ViewPosition, known: ViewPosition | undefined): boolean {
  if (known === undefined) return true;
  if (candidate.logId !== known.logId) {
    throw new RangeError(`A view of the log ${candidate.logId} is no view of ${known.logId}.`);
  }
  if (candidate.epoch !== known.epoch) return candidate.epoch > known.epoch;
  return candidate.offset > known.offset;
}
