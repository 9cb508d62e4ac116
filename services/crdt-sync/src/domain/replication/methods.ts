/** What replicas ask each other, as {@link LargeCalls} number it; 0 is its own. */
export const METHODS = {
  /** The sums of digests in buckets, with the vector of before. */
  summary: 1,
  /** The digests in some buckets. */
  digests: 2,
  /** The states of some names. */
  values: 3,
  /** The state of one name, for a quorum of the first version of the replica set. */
  read: 4,
  /** Joins the state of one name in, for a quorum of that version. */
  write: 5,
  /** Takes over what differs at the one that asks; answered when that is done. */
  catchUp: 6,
  /** The digests of a set's elements below prefixes of their hashes. */
  pieces: 7,
  /** A set's elements below prefixes of their hashes. */
  elements: 8,
  /** Which of some sets are large enough to be compared in pieces. */
  large: 9,
  /** As `read`, for the version that is named. */
  readAt: 10,
  /** As `write`, for the version that is named. */
  writeAt: 11,
  /** How many commits of an incarnation are there, if that version is gone by. */
  agree: 12,
} as const;
