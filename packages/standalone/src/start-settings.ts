/**
 * What can only be set before a start. Many threads with an arena each, and large young generations,
 * hold memory that nobody uses: with both bounded the plane needs about half, and is no slower.
 */
export const START_SETTINGS = {
  flags: ['--max-semi-space-size=4', '--min-semi-space-size=4'],
  environment: { MALLOC_ARENA_MAX: '2' },
} as const;
