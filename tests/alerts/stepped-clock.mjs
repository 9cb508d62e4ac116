// Preloaded into a plane: its clock is off by the milliseconds in a file, as that of a machine is
// that somebody has set.
import { readFileSync } from 'node:fs';

const file = process.env.MEMPLANE_TEST_CLOCK_FILE;
const right = Date.now;
Date.now = () => right() + Number(readFileSync(file, 'utf8'));
