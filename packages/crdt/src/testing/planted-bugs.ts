/** What a run checks; a violation names one. */
export type Check =
  | 'no dot twice'
  | 'no operation from nowhere'
  | 'causes first'
  | 'nothing removed comes back'
  | 'reads its own write'
  | 'bounded buffers'
  | 'converges in time'
  | 'equal digests'
  | 'nothing durable is lost'
  | 'values of the fold'
  | 'digest of the fold'
  | 'operation ids count once';

interface Planted {
  readonly what: string;
  /** The check that tells of the harm that the bug does, and so must fail. */
  readonly harm: Check;
  /** The first seed to try, where those before are known to find nothing. */
  readonly from?: number;
}

/** Bugs that others had or that are near at hand, built in where the simulation is asked to. */
export const PLANTED_BUGS = {
  'dot-reuse': {
    what: 'a replica goes on with its incarnation after a crash that lost a tail',
    harm: 'no dot twice',
  },
  'before-cause': {
    what: 'deltas are sent one by one and taken as they come',
    harm: 'causes first',
  },
  'earlier-life': {
    what: 'deltas for an earlier life of a replica, which has lost their causes, are taken',
    harm: 'causes first',
  },
  'early-acknowledgement': {
    what: 'a vector is written before the deltas that it speaks of',
    harm: 'equal digests',
  },
  'comparison-of-two-lives': {
    what: 'what a comparison gives from a later life is taken for what the vector of before speaks of',
    harm: 'equal digests',
    from: 1_080,
  },
  'wall-clock': {
    what: 'a register is stamped by the wall clock alone',
    harm: 'reads its own write',
  },
  'context-dropped': {
    what: 'what was removed is dropped from the context',
    harm: 'nothing removed comes back',
  },
  'akka-22890': {
    what: 'the delta of a removal carries the whole context of the set',
    harm: 'values of the fold',
  },
  'akka-21647': {
    what: "a retired incarnation's part is folded into another, without a mark that lasts",
    harm: 'values of the fold',
  },
  'akka.net-8220-marker': {
    what: 'a rewrite of dots is told in deltas without the rewritten dots',
    harm: 'values of the fold',
  },
  'akka.net-8220-lookup': {
    what: 'a join looks dots up on the wrong side and takes all as standing in both',
    harm: 'nothing removed comes back',
  },
} as const satisfies Record<string, Planted>;

/** The same of operation ids, in runs that use them. */
export const PLANTED_CLAIM_BUGS = {
  'greatest-claim': {
    what: 'of two claims of an operation id the greater is kept, and known to nobody as contested',
    harm: 'operation ids count once',
    from: 20,
  },
  'reset-claims-kept': {
    what: 'contested claims that a reset has seen are kept',
    harm: 'equal digests',
  },
  'contested-untold': {
    what: 'what a join finds to be contested is not told to those who have forgotten the id',
    harm: 'equal digests',
    from: 930,
  },
  'forgotten-unstable': {
    what: 'an operation id is forgotten while others do not have it',
    harm: 'operation ids count once',
  },
} as const satisfies Record<string, Planted>;

export function plantedBug(bug: PlantedBug): Planted {
  return ALL[bug];
}

const ALL = { ...PLANTED_BUGS, ...PLANTED_CLAIM_BUGS };

export type PlantedBug = keyof typeof ALL;

/** What a run found to be wrong. */
export class Violation extends Error {
  readonly check: Check;

  constructor(check: Check, detail: string) {
    super(`${check}: ${detail}`);
    this.check = check;
  }
}
