/** How much a run does: `ci` keeps CI short, `soak` are the full counts. */
export type Scale = 'ci' | 'soak';

export function testScale(): Scale {
  return process.env['MEMPLANE_TEST_SCALE'] === 'soak' ? 'soak' : 'ci';
}

/** Picks a count by the scale of this run; `MEMPLANE_TEST_<NAME>` overrides it. */
export function scaled(name: string, counts: Readonly<Record<Scale, number>>): number {
  const given = process.env[`MEMPLANE_TEST_${name.toUpperCase()}`];
  return given === undefined ? counts[testScale()] : Number(given);
}

/** One figure of a run, on its own line, so that a report can collect them. */
export function figure(name: string, value: number | string, unit = ''): void {
  console.log(`# figure: ${name} = ${value}${unit === '' ? '' : ` ${unit}`}`);
}
